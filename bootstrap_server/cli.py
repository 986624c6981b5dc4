"""`zos bootstrap serve`: the server on one address."""

import argparse
import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bootstrap_server.errors import SettingsError
from bootstrap_server.settings import Settings
from serving import listen as serving

EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound


def main(argv: Sequence[str], prog: str) -> int:
    """Run a sub-command and return its exit status."""
    options = make_parser(prog).parse_args(argv)
    return serve(options)


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this verb's arguments."""
    parser = argparse.ArgumentParser(prog=prog, description="Serve boot images and releases.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("serve", help="answer browsers and booting nodes over HTTP")
    command.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:8080", help="(default: %(default)s)"
    )
    command.add_argument(
        "--url",
        metavar="URL",
        help="where nodes and browsers reach this server (default: http://HOST:PORT)",
    )
    command.add_argument(
        "--releases",
        metavar="DIR",
        type=Path,
        required=True,
        help="holds dev, qa, test, prod, each with vmlinuz and initramfs.zst",
    )
    command.add_argument(
        "--hub", metavar="URL", required=True, help="where nodes fetch their file systems"
    )
    return parser


def serve(options: argparse.Namespace) -> int:
    """Build the template, then answer requests until a signal ends it."""
    from bootstrap_server.app import create_app

    if not options.releases.is_dir():
        raise SettingsError(f"cannot serve {options.releases}: it is no folder")
    host, port = serving.parse_address(options.listen)
    if host in EVERY_ADDRESS and not options.url:
        raise SettingsError(
            f"cannot tell nodes where this server is: {options.listen} is every address",
            hint="--url http://HOST:PORT, as nodes reach it",
        )
    with serving.open_listener(host, port) as listener:
        own_url = serving.own_url(listener)
        settings = Settings(options.url or own_url, options.hub, options.releases)
        app = create_app(settings)
        talk("making the template image (the first time, this fetches Debian packages)")
        app.state.server.templates.get()
        ready = f"listening on {own_url}, known to nodes as {settings.public_url}"
        serving.serve(
            app, listener, lambda: talk(ready), log_config=log_config(), server_header=False
        )
    return 0


def log_config() -> dict[str, Any]:
    """Return uvicorn's logging with the requests on stderr too: stdout is for data."""
    import uvicorn.config

    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    return config


def talk(text: str) -> None:
    """Say what happens, where it does not mix with data."""
    print(f"zos bootstrap: {text}", file=sys.stderr, flush=True)
