"""The tokens that a user of this machine has signed in for, by server, in a file of the user's own.

    {"https://hub.example.org": {"token": "zos_...", "user": "alice", "is_session": true}}

The file is `zero-os/tokens.json` in `$XDG_CONFIG_HOME`, or in `~/.config`. It has mode 0600, and is
refused if others may read it. A token goes to its own server only.
"""

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from common.files import open_regular, write_atomic
from flist.errors import StoreError
from flist.server.api import name_server

MODE, FOLDER_MODE = 0o600, 0o700
FOREIGN_BITS = 0o077


@dataclass(frozen=True, slots=True)
class Kept:
    """A token for one server; a session was begun by signing in, and ends with signing out."""

    token: str
    user: str
    is_session: bool


def place() -> Path:
    """Return where the file is. Raises `RuntimeError` for a user without a home."""
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".config"
    return folder / "zero-os" / "tokens.json"


def find(url: str) -> Kept | None:
    """Return what is kept for a server, or None. Raises `StoreError` for a file that is no good."""
    return read().get(name_server(url))


def find_token(url: str) -> str:
    """Return the token that is kept for a server, or an empty text."""
    kept = find(url)
    return kept.token if kept else ""


def keep(url: str, kept: Kept) -> None:
    """Keep a token for a server, instead of an earlier one."""
    write({**read(), name_server(url): kept})


def forget(url: str) -> None:
    """Keep nothing for a server any more."""
    write({name: kept for name, kept in read().items() if name != name_server(url)})


def read() -> dict[str, Kept]:
    """Return all that is kept, by server."""
    try:
        path = place()
        with open_regular(path) as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if stat.S_IMODE(mode) & FOREIGN_BITS:
                raise StoreError(f"cannot use {path}: others may read it", hint=f"chmod 600 {path}")
            return parse(json.loads(stream.read()))
    except (FileNotFoundError, NotADirectoryError, RuntimeError):
        return {}
    except OSError as error:
        raise StoreError(f"cannot read {error.filename}: {error.strerror}") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(
            f"cannot use {path}: it is damaged", hint="remove it, and sign in"
        ) from error


def parse(found: Mapping[str, Any]) -> dict[str, Kept]:
    """Return what the file says. Raises `TypeError`, `ValueError` or `AttributeError`."""
    kept = {name: Kept(**row) for name, row in found.items()}
    if not all(isinstance(row.token, str) and row.token.isascii() for row in kept.values()):
        raise ValueError("no token")
    return kept


def write(kept: Mapping[str, Kept]) -> None:
    """Write the file."""
    try:
        path = place()
        path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
        rows = {name: asdict(row) for name, row in sorted(kept.items())}
        write_atomic(path, json.dumps(rows, indent=2).encode() + b"\n", MODE)
    except OSError as error:
        raise StoreError(f"cannot keep the token: {error.filename}: {error.strerror}") from error
    except RuntimeError as error:
        raise StoreError("cannot keep the token: this user has no home") from error
