"""`zos bootstrap serve`: the server on one address."""

import argparse
import copy
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bootstrap_server.errors import SettingsError
from bootstrap_server.settings import Settings

BACKLOG = 2048


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
    import uvicorn

    from bootstrap_server.app import create_app

    if not options.releases.is_dir():
        raise SettingsError(f"cannot serve {options.releases}: it is no folder")
    with listen(options.listen) as listener:
        settings = Settings(options.url or own_url(listener), options.hub, options.releases)
        app = create_app(settings)
        talk("making the template image (the first time, this fetches Debian packages)")
        app.state.server.templates.get()
        talk(f"listening on {own_url(listener)}, known to nodes as {settings.public_url}")
        config = uvicorn.Config(app, log_config=log_config(), server_header=False)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def listen(text: str) -> socket.socket:
    """Return a socket that listens on HOST:PORT; an IPv6 address stands in brackets."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise SettingsError(f"cannot listen on {text!r}", hint="--listen HOST:PORT")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, int(port)), family=family, backlog=BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {text}: {os.strerror(error.errno) if error.errno else error}"
        ) from error
    # asyncio does this only for sockets it makes itself; connections inherit it. Without it, a head
    # and a body that are written apart wait 40 ms for each other.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def own_url(listener: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def log_config() -> dict[str, Any]:
    """Return uvicorn's logging with the requests on stderr too: stdout is for data."""
    import uvicorn.config

    config = copy.deepcopy(uvicorn.config.LOGGING_CONFIG)
    config["handlers"]["access"]["stream"] = "ext://sys.stderr"
    return config


def talk(text: str) -> None:
    """Say what happens, where it does not mix with data."""
    print(f"zos bootstrap: {text}", file=sys.stderr, flush=True)
