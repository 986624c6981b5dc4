"""The nodes that this user has called: their ids and where they were, in a file of the user's."""

import json
import os
from pathlib import Path

from common.errors import ZosError
from common.files import read_regular, write_atomic
from common.nodes.nodeid import parse_node_id
from core.places import API_PORT
from core.remote.errors import RemoteError

MODE, FOLDER_MODE = 0o600, 0o700


def config_folder() -> Path:
    """Return the folder of the user's settings."""
    top = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(top) / "zero-os"


class Known:
    """The file nodes.json: address (HOST:PORT) -> node id."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or config_folder() / "nodes.json"

    def read(self) -> dict[str, str]:
        """Return all. Raises `RemoteError` for a file that is not ours."""
        try:
            value = json.loads(read_regular(self.path))
            if not isinstance(value, dict):
                raise ValueError
            for node in value.values():
                parse_node_id(str(node))
        except FileNotFoundError:
            return {}
        except (ValueError, ZosError) as error:
            raise RemoteError(
                f"cannot use {self.path}: it is no list of nodes", hint="move it away"
            ) from error
        return value

    def remember(self, address: str, node: str) -> None:
        """Keep which node is at an address."""
        known = self.read()
        if known.get(address) != node:
            self.path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            data = json.dumps({**known, address: node}, indent=2).encode() + b"\n"
            write_atomic(self.path, data, MODE)

    def find(self, node: str) -> list[str]:
        """Return the addresses where a node was, the newest first."""
        return [address for address, other in reversed(self.read().items()) if other == node]


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of HOST, HOST:PORT, [IPV6]:PORT or an IPv6 address."""
    host, port = text, ""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        if port and not port.startswith(":"):
            raise RemoteError(f"{text!r} is no address")
        port = port[1:]
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    is_port = port.isascii() and port.isdigit() and 0 < int(port or 0) < 2**16
    if not host or (port and not is_port):
        raise RemoteError(f"{text!r} is no address", hint="HOST, HOST:PORT or [IPV6]:PORT")
    return host, int(port or API_PORT)


def join_address(host: str, port: int) -> str:
    """Return host and port as one text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
