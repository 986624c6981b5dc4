"""`zos hub`: serve flists and their blocks over HTTP."""

import argparse
import contextlib
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvicorn

from common.errors import UsageError, ZosError
from flist.hub.app import create_app

DEFAULT_LISTEN = "127.0.0.1:8081"


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command of the hub."""
    parser = argparse.ArgumentParser(prog=prog, description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve_parser = commands.add_parser("serve", help="serve a hub folder until SIGTERM or Ctrl-C")
    serve_parser.add_argument(
        "root", type=Path, metavar="ROOT", help="folder with flists/<repo>/<name>.fl and blocks/"
    )
    serve_parser.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT",
        help=f"default {DEFAULT_LISTEN}; port 0 takes a free one",
    )  # fmt: skip
    options = parser.parse_args(argv)
    return serve(options.root, options.listen)


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `[v6]:PORT`, `:PORT`."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"cannot listen on {text!r}", hint="for example 0.0.0.0:8081")
    return host.strip("[]") or "::", int(port)


def open_listener(host: str, port: int) -> socket.socket:
    """Return a listening socket."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        dual = host == "::" and socket.has_dualstack_ipv6()
        listener = socket.socket(family, kind)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if dual:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(address)
            listener.listen(1024)
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        raise ZosError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener


class Server(uvicorn.Server):
    """uvicorn's server, without its signal handlers: they raise every signal again at the end."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `ended_by_signals`."""
        yield


@contextlib.contextmanager
def ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Let SIGTERM and SIGINT end `server` in good order, also before it has begun."""
    numbers = (signal.SIGTERM, signal.SIGINT)
    kept = {number: signal.signal(number, server.handle_exit) for number in numbers}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


def serve(root: Path, listen: str) -> int:
    """Serve `root`; prints the URL when it can be reached."""
    if not root.is_dir():
        raise UsageError(f"cannot serve {root}: it is not a directory")
    host, port = parse_address(listen)
    config = uvicorn.Config(
        create_app(root), log_level="warning", access_log=False, timeout_graceful_shutdown=5
    )
    server = Server(config)
    with open_listener(host, port) as listener, ended_by_signals(server):
        bound = listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        sys.stdout.write(f"http://{shown}:{bound}/\n")
        sys.stdout.flush()
        server.run(sockets=[listener])
    return 0
