"""`zos registry serve`: answers nodes, farmers and everybody until SIGTERM or Ctrl-C."""

import argparse
import sys
from typing import Any

from registry.settings import RegistrySettings
from registry.views.registry import open_registry
from serving.listen import open_listener, own_url, parse_address

NAME, HELP = "serve", "serve the registry until SIGTERM or Ctrl-C"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments beside the settings."""
    del parser


def run(settings: RegistrySettings, options: dict[str, Any]) -> int:
    """Serve the registry; print the URL once it can be reached."""
    from registry.app import create_app
    from serving.run import run as run_server

    del options
    app = create_app(open_registry(settings))
    listener = open_listener(*parse_address(settings.listen))

    def announce() -> None:
        url = own_url(listener, is_tls=settings.tls_cert is not None)
        sys.stdout.write(f"{url}/\n")
        sys.stdout.flush()

    run_server(app, listener, announce)
    return 0
