"""A client of upstream's rfs server and of our hub: files go there and come back as plain blocks.

A file's blocks are pieces of `block_bytes`, named by BLAKE2b-256; the file is named by the SHA-256
of its blocks' names, one after the other in hex. That is not encrypted: whoever can read from the
server can read the file.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from common.files import open_atomic, open_regular
from flist.blocks.codec import digest
from flist.errors import BlockError, FlistError, StoreError
from flist.store.http import NOT_FOUND, HttpStore, refusal, write_refusal

DEFAULT_BLOCK_BYTES = 1 << 20
MAX_BLOCK_BYTES = 64 << 20
PER_PAGE = 100
BLOCK_NAME = re.compile(r"[0-9a-f]{64}")


class ServerClient:
    """Talks to one server; raises `StoreError` and its kinds."""

    def __init__(self, url: str, token: str = "") -> None:
        self.http = HttpStore(url, max_bytes=MAX_BLOCK_BYTES)
        self.token = token
        self.url = url

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    def ask_json(self, method: str, path: str, body: object = None) -> Any:
        """Return the JSON answer of a request, None for what is not there."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        status, answer = self.http.ask(method, path, data, headers)
        if status in NOT_FOUND:
            return None
        if status in (401, 403):
            raise StoreError(
                f"cannot ask {self.url}: it refused", hint="--token, $RFS_TOKEN, or the password"
            )
        if status not in (200, 201):
            raise write_refusal(status, self.url)
        try:
            return json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise StoreError(f"cannot understand {self.url}: it answered no JSON") from error

    def put(self, path: str, data: bytes, method: str = "POST") -> None:
        """Send bytes."""
        headers = {"Content-Type": "application/octet-stream"}
        headers["Authorization"] = f"Bearer {self.token}"
        status, _ = self.http.ask(method, path, data, headers)
        if status in (401, 403):
            raise StoreError(
                f"cannot write to {self.url}: it refused the token", hint="--token, or $RFS_TOKEN"
            )
        if status not in (200, 201):
            raise write_refusal(status, self.url)

    def has_block(self, name: str) -> bool:
        """Whether a block is there."""
        status, _ = self.http.ask("HEAD", f"api/v1/block/{name}")
        if status not in (200, *NOT_FOUND):
            raise refusal(status, self.url)
        return status == 200

    def get_block(self, name: str) -> bytes:
        """Return a block; raises `BlockError` if its bytes have another hash."""
        status, data = self.http.ask("GET", f"api/v1/block/{name}")
        if status != 200:
            raise refusal(status, self.url)
        if digest(data).hex() != name:
            raise BlockError(f"block {name} is refused: its bytes have another hash")
        return data

    def put_block(self, data: bytes, file_hash: str, index: int) -> None:
        """Send a block of a file."""
        self.put(f"api/v1/block?file_hash={file_hash}&idx={index}", data)

    def missing(self, names: list[str]) -> set[str]:
        """Return which blocks the server does not have."""
        found: set[str] = set()
        for start in range(0, len(names), PER_PAGE):
            rows = [{"block_hash": n, "file_hash": n, "block_index": 0}
                    for n in names[start : start + PER_PAGE]]  # fmt: skip
            answer = self.ask_json("POST", "api/v1/block/verify", {"blocks": rows})
            asked = names[start : start + PER_PAGE]
            said = asked if answer is None else read_list(answer, "missing")
            found.update(name for name in asked if name in said)
        # Upstream's server looks into user 0's list only: what it calls missing may be there.
        return {name for name in found if not self.has_block(name)}

    def blocks_of(self, file_hash: str) -> list[str]:
        """Return the names of a file's blocks, in order."""
        answer = self.ask_json("GET", f"api/v1/blocks/{quote(file_hash, safe='')}")
        if answer is None:
            return []
        rows = read_list(answer, "blocks")
        names = read_names(rows)
        places = [row[1] if len(row) == 2 else None for row in rows]
        if not all(type(place) is int for place in places):
            raise StoreError("cannot understand the server: it does not say which block is where")
        return [name for _, name in sorted(zip(places, names, strict=True))]

    def all_blocks(self) -> Iterator[str]:
        """Give the names of all blocks of the server."""
        return self.pages("api/v1/blocks")

    def own_blocks(self) -> Iterator[str]:
        """Give the names of the blocks that the token's user has there."""
        return self.pages("api/v1/user/blocks")

    def pages(self, path: str) -> Iterator[str]:
        """Give the blocks' names that a list has, each once."""
        known: set[str] = set()
        page = 1
        while True:
            answer = self.ask_json("GET", f"{path}?page={page}&per_page={PER_PAGE}")
            rows = [] if answer is None else read_list(answer, "blocks")
            new = [name for name in read_names(rows) if name not in known]
            known.update(new)
            yield from new
            if len(rows) < PER_PAGE or not new:  # upstream's gives all, whatever page is asked for
                return
            page += 1

    def downloads(self, name: str) -> tuple[int, int] | None:
        """Return how often a block was fetched and how many bytes it has; None: it is not there."""
        answer = self.ask_json("GET", f"api/v1/block/{name}/downloads")
        if answer is None:
            return None
        try:
            return int(answer["downloads_count"]), int(answer["block_size"])
        except (TypeError, KeyError, ValueError, OverflowError) as error:
            raise StoreError(f"cannot understand {self.url}: it counts no downloads") from error

    def sign_in(self, username: str, password: str) -> str:
        """Return a token."""
        body = {"username": username, "password": password}
        answer = self.ask_json("POST", "api/v1/signin", body)
        token = answer.get("access_token") if isinstance(answer, dict) else None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise StoreError(f"cannot sign in at {self.url}: it gave no token")
        return token


def read_list(answer: object, key: str) -> list[Any]:
    """Return the list at `key` of an answer; raises `StoreError`."""
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise StoreError(f"cannot understand the server: its answer has no list of {key}")
    return found


def read_names(rows: list[Any]) -> list[str]:
    """Return the blocks' names that rows begin with; raises `StoreError`."""
    names = [row[0] if isinstance(row, list) and row else None for row in rows]
    if not all(isinstance(name, str) and BLOCK_NAME.fullmatch(name) for name in names):
        raise StoreError("cannot understand the server: it lists what are no blocks")
    return [str(name) for name in names]


def read_pieces(stream: BinaryIO, block_bytes: int) -> Iterator[bytes]:
    """Give a file piece by piece."""
    while piece := stream.read(block_bytes):
        yield piece


def name_file(names: list[str]) -> str:
    """Return the name of a file of the blocks `names`."""
    return hashlib.sha256("".join(names).encode()).hexdigest()


def name_blocks(path: Path, block_bytes: int) -> list[str]:
    """Return the names of a file's blocks."""
    try:
        with open_regular(path) as stream:
            return [digest(piece).hex() for piece in read_pieces(stream, block_bytes)]
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error


def upload(client: ServerClient, path: Path, block_bytes: int = DEFAULT_BLOCK_BYTES) -> str:
    """Send a file; return its name. Blocks that the server has are named to it, too."""
    names = name_blocks(path, block_bytes)
    file_hash = name_file(names)
    with path.open("rb") as stream:
        for index, piece in enumerate(read_pieces(stream, block_bytes)):
            client.put_block(piece, file_hash, index)
    return file_hash


def download(client: ServerClient, file_hash: str, output: Path) -> int:
    """Write an uploaded file to `output`, whole or not at all; return its size."""
    names = client.blocks_of(file_hash)
    if not names and file_hash != name_file([]):  # an empty file has none
        raise StoreError(f"cannot download {file_hash}: {client.url} does not have it")
    if name_file(names) != file_hash and names != [file_hash]:
        raise BlockError(f"cannot download {file_hash}: the server names other blocks")
    size = 0
    with open_atomic(output) as stream:
        for name in names:
            size += stream.write(client.get_block(name))
    return size


def sync(source: ServerClient, target: ServerClient, file_hash: str | None) -> int:
    """Copy a file's blocks, or all, to another server; return how many it did not have."""
    if file_hash is None:
        names = list(source.all_blocks())
        missing = target.missing(names)
        for name in names:
            if name in missing:
                target.put_block(source.get_block(name), name, 0)
        return len(missing)
    names = source.blocks_of(file_hash)
    if not names:
        raise StoreError(f"cannot sync {file_hash}: {source.url} does not have it")
    missing = target.missing(names)
    for index, name in enumerate(names):
        target.put_block(source.get_block(name), file_hash, index)
    return len(missing)
