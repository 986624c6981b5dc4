"""Paths and JSON of a server's API, which client, `server` store and hub have in common. Pure.

Paths are below the server's URL. Source: upstream's rfs server, its OpenAPI description.
"""

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlsplit

from flist.errors import StoreError
from flist.http.urls import split_url
from flist.server.names import BLOCK_NAME

BLOCK = "api/v1/block"
VERIFY = f"{BLOCK}/verify"
BLOCKS = "api/v1/blocks"
OWN_BLOCKS = "api/v1/user/blocks"
SIGN_IN = "api/v1/signin"
CHALLENGE = "api/v1/challenge"
SIGN_OUT = "api/v1/signout"
ACCOUNT = "api/v1/account"
"""Only our hub has these three."""
FILE = "api/v1/file"
FLISTS = "api/v1/fl"
HISTORY = f"{FLISTS}/history"
"""Only our hub keeps earlier versions of flists."""
ROLLBACK = f"{FLISTS}/rollback"
PORTS = {"http": 80, "https": 443}
MAX_PER_PAGE = 100
"""Rows of a list, and names in one question, that every server accepts."""


def block_path(name: str) -> str:
    """Return where a block is read (GET, HEAD)."""
    return f"{BLOCK}/{name}"


def upload_path(file_hash: str, index: int) -> str:
    """Return where block `index` of a file is written (POST)."""
    return f"{BLOCK}?file_hash={file_hash}&idx={index}"


def downloads_path(name: str) -> str:
    """Return where the server says how often a block was fetched."""
    return f"{BLOCK}/{name}/downloads"


def file_path(file_hash: str) -> str:
    """Return where the server lists the blocks of a file."""
    return f"{BLOCKS}/{quote(file_hash, safe='')}"


def page_path(path: str, page: int) -> str:
    """Return where page `page` (from 1) of a list is."""
    return f"{path}?page={page}&per_page={MAX_PER_PAGE}"


def make_question(names: Sequence[str]) -> bytes:
    """Return the body of `VERIFY`: which of the blocks `names` are missing?"""
    rows = [{"block_hash": name, "file_hash": name, "block_index": 0} for name in names]
    return json.dumps({"blocks": rows}).encode()


def read_missing(answer: object, names: Sequence[str]) -> list[str]:
    """Return those of `names` that the answer of `VERIFY` says are missing."""
    missing = {name for name in read_list(answer, "missing") if isinstance(name, str)}
    return [name for name in names if name in missing]


def read_list(answer: object, key: str) -> list[Any]:
    """Return the list at `key` of an answer; raises `StoreError`."""
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise StoreError(f"cannot understand the server: its answer has no list of {key}")
    return found


def read_names(answer: object) -> list[str]:
    """Return the blocks' names in a list of blocks.

    A row is a name, or begins with one: in a user's list, and in every list of an older hub.
    """
    rows = read_list(answer, "blocks")
    names = [row[0] if isinstance(row, list) and row else row for row in rows]
    if not all(isinstance(name, str) and BLOCK_NAME.fullmatch(name) for name in names):
        raise StoreError("cannot understand the server: a row of its list names no block")
    return [str(name) for name in names]


def read_file(answer: object) -> list[str]:
    """Return the names of a file's blocks, in order; the rows are (name, index)."""
    names = read_names(answer)
    rows = read_list(answer, "blocks")
    indexes = [row[1] if isinstance(row, list) and len(row) == 2 else None for row in rows]
    if not all(type(index) is int for index in indexes):
        raise StoreError("cannot understand the server: it does not say which block is where")
    return [name for _, name in sorted(zip(indexes, names, strict=True))]


def read_downloads(answer: object) -> tuple[int, int]:
    """Return how often a block was fetched, and its size in bytes."""
    found = answer if isinstance(answer, dict) else {}
    try:
        return int(found["downloads_count"]), int(found["block_size"])
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise StoreError("cannot understand the server: it counts no downloads") from error


def read_token(answer: object) -> str:
    """Return the token that a user gets by signing in; it can stand in a header."""
    token = answer.get("access_token") if isinstance(answer, dict) else None
    if not isinstance(token, str) or not token.isascii() or not token.isprintable():
        raise StoreError("cannot sign in: the server gave no token")
    return token


def read_nonce(answer: object) -> str:
    """Return the nonce that a hub wants to be signed."""
    nonce = answer.get("nonce") if isinstance(answer, dict) else None
    if not isinstance(nonce, str) or not nonce.isalnum():
        raise StoreError("cannot sign in: the server takes no keys")
    return nonce


def read_name(answer: object) -> str:
    """Return whose account a hub says that it is."""
    name = answer.get("name") if isinstance(answer, dict) else None
    if not isinstance(name, str) or not name:
        raise StoreError("cannot sign in: the server does not say who you are")
    return name


def name_server(url: str) -> str:
    """Return a server's URL in one spelling, without user and query."""
    parts = split_url(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, PORTS.get(parts.scheme)) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}{parts.path.rstrip('/')}"


def host_of(url: str) -> str:
    """Return HOST[:PORT] of a server's URL, as it stands in the Host header."""
    return urlsplit(name_server(url)).netloc
