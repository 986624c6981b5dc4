"""Serves a hub until SIGTERM or Ctrl-C."""

import argparse
import sys

from common.errors import UsageError
from flist.hub.settings import HubSettings
from serving.listen import open_listener, own_url, parse_address

NAME, HELP = "serve", "serve a hub, or a plain folder, until SIGTERM or Ctrl-C"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments beside the settings."""
    del parser


def run(settings: HubSettings, options: dict[str, str]) -> int:
    """Serve the hub; print the URL once it can be reached."""
    from flist.hub.app import create_app
    from serving.run import run as run_server

    del options
    if not settings.root.is_dir():
        raise UsageError(f"cannot serve {settings.root}: it is not a directory")
    app = create_app(settings.root, settings)
    listener = open_listener(*parse_address(settings.listen))

    def announce() -> None:
        url = own_url(listener, is_tls=settings.tls_cert is not None)
        sys.stdout.write(f"{url}/\n")
        sys.stdout.flush()

    run_server(app, listener, announce)
    return 0
