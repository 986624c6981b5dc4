"""Uploaded files: the blocks that they consist of, and how a client fetches them whole.

    POST /api/v1/file           a whole file; its name is the SHA-256 of the body
    GET  /api/v1/file/<hash>    a file, whichever way it was uploaded

A client that sends blocks one by one names the file by the SHA-256 of the blocks' names, in hex one
after the other.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Request
from sqlalchemy import Connection, delete, select
from starlette.responses import Response

from flist.errors import StoreError
from flist.hub.contents.contents import Draft
from flist.hub.errors import InvalidError
from flist.hub.library.accepting import parse_flist
from flist.hub.library.hub import Hub
from flist.hub.names import DIGEST
from flist.hub.state.batches import batches
from flist.hub.state.blocks import Blocks, note_upload
from flist.hub.state.objects import insert_all
from flist.hub.state.tables import FILES, OBJECTS, PIECES
from flist.hub.state.viewer import UPLOAD, Viewer
from flist.hub.web.shared import CONTENT, receive_body, send_immutable
from flist.hub.web.viewers import demand, viewer
from flist.server import api
from flist.server.names import name_file
from serving.database import Database, insert_new
from serving.openapi import reading


class Files:
    """The lists of blocks of the uploaded files."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def note(self, viewer: Viewer, name: str, places: Mapping[int, str]) -> bool:
        """Record which blocks are at which places of a file, which the viewer keeps; is that new?

        No part changes of a file that is whole, or that others have completed.
        """
        with self.database.writing() as connection:
            if not hold_name(connection, name):
                return False
            known = find_places(connection, name, places)
            changed = {index: block for index, block in places.items() if known.get(index) != block}
            if not changed:
                return claim(connection, viewer, name)
            if is_others(connection, viewer, name):
                return False
            put_places(connection, name, changed)
            claim(connection, viewer, name)
        return True

    def places(self, name: str, indexes: Iterable[int]) -> dict[int, str]:
        """Return which blocks are known to be at these places of a file."""
        with self.database.reading() as connection:
            return find_places(connection, name, indexes)

    def parts(self, name: str) -> list[tuple[str, int]] | None:
        """Return the known blocks of a file with their indexes, in order; None: no such file."""
        wanted = select(PIECES.c.block, PIECES.c.position).where(PIECES.c.object == name)
        with self.database.reading() as connection:
            rows = connection.execute(wanted.order_by(PIECES.c.position)).all()
            is_whole = is_object(connection, name)
        found = [(bytes(row.block).hex(), row.position) for row in rows]
        return found if found or is_whole else None

    def blocks(self, name: str) -> list[str] | None:
        """Return the blocks of a file that was uploaded completely; None if there is none."""
        parts = self.parts(name)
        if parts is None:
            return [name]  # a file of one block may have the block's name
        blocks = [block for block, _ in parts]
        with self.database.reading() as connection:
            is_whole = is_object(connection, name)
        return blocks if is_whole or name_file(blocks) == name else None


def find_places(connection: Connection, name: str, indexes: Iterable[int]) -> dict[int, str]:
    """Return which blocks are known to be at these places of a file."""
    found: dict[int, str] = {}
    for some in batches(indexes):
        wanted = select(PIECES.c.position, PIECES.c.block).where(
            PIECES.c.object == name, PIECES.c.position.in_(some)
        )
        found.update((row.position, bytes(row.block).hex()) for row in connection.execute(wanted))
    return found


def put_places(connection: Connection, name: str, places: Mapping[int, str]) -> None:
    """Put blocks in places of a file."""
    for some in batches(places):
        connection.execute(
            delete(PIECES).where(PIECES.c.object == name, PIECES.c.position.in_(some))
        )
    rows = ({"object": name, "position": index, "block": bytes.fromhex(block)}
            for index, block in places.items())  # fmt: skip
    insert_all(connection, PIECES, rows)


def is_object(connection: Connection, name: str) -> bool:
    """Return whether a whole file of this name was uploaded."""
    wanted = select(OBJECTS.c.digest).where(OBJECTS.c.digest == name)
    return connection.execute(wanted).first() is not None


def hold_name(connection: Connection, name: str) -> bool:
    """Keep others from recording a whole file of this name while parts of it change.

    Return False if there is one. Who inserts a row waits for others that have inserted the same.
    """
    row = {"digest": name, "size": 0, "format": "", "uses_bytes": 0, "created_s": 0, "touched_s": 0}
    is_free = insert_new(connection, OBJECTS, row)
    if is_free:
        connection.execute(delete(OBJECTS).filter_by(digest=name))
    return is_free


def is_others(connection: Connection, viewer: Viewer, name: str) -> bool:
    """Return whether a file is complete, and the viewer has sent nothing of it."""
    wanted = select(FILES.c.account_id).where(FILES.c.object == name)
    owners = {row.account_id for row in connection.execute(wanted)}
    if not owners or viewer.account_id in owners:
        return False
    parts = select(PIECES.c.block).where(PIECES.c.object == name).order_by(PIECES.c.position)
    return name_file(bytes(row.block).hex() for row in connection.execute(parts)) == name


def claim(connection: Connection, viewer: Viewer, name: str) -> bool:
    """Note that an account keeps a file; return whether it did not before."""
    values = {"object": name, "account_id": viewer.account_id, "at_s": time.time()}
    return insert_new(connection, FILES, values)


@dataclass(frozen=True, slots=True)
class Joined:
    """Blocks one after the other, read while they are sent."""

    store: Blocks
    names: Sequence[str]
    ends: Sequence[int]  # the offset at which each block ends
    etag: str
    count: Callable[[str], None]
    counted: set[int] = field(default_factory=set)

    @property
    def size(self) -> int:
        """Return the length of all blocks."""
        return self.ends[-1] if self.ends else 0

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes of the block that `start` lies in; its first read counts as a download."""
        index = bisect_right(self.ends, start)
        name = self.names[index]
        if index not in self.counted:
            self.counted.add(index)
            self.count(name)
        offset = start - (self.ends[index - 1] if index else 0)
        return await to_thread.run_sync(self.read_block, bytes.fromhex(name), offset, size)

    def read_block(self, block_id: bytes, start: int, size: int) -> bytes:
        """Return bytes of one block. Raises `StoreError` if they are no longer there."""
        data = self.store.get_range(block_id, start, size)
        if not data:
            raise StoreError("the block became shorter while it was sent")
        return data

    def close(self) -> None:
        """Do nothing: no block stays open."""


def make_router(hub: Hub, files: Files, count: Callable[[str], None]) -> APIRouter:
    """Return the routes of files; `count` is called for each block that is sent."""
    router = APIRouter()

    @reading(router, f"/{api.FILE}/{{name}}", **CONTENT)
    def read_file(request: Request, name: str) -> Response:
        """Return a file."""
        asking = viewer(request)
        names = files.blocks(name) if DIGEST.fullmatch(name) else None
        sizes = sizes_of(hub, asking, names) if names is not None else None
        if names is None or sizes is None:
            raise HTTPException(404, "there is no such file")
        content = Joined(hub.blocks, names, list(accumulate(sizes)), f'"{name}"', count)
        answer = send_immutable(request, content, is_open=not asking.is_known)
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}.bin"'
        return answer

    pool = hub.kit.pools.uploads

    @router.post(f"/{api.FILE}", status_code=201)
    async def take_file(request: Request) -> dict[str, str]:
        """Store a file. If the upload breaks off, nothing of it stays."""
        asking = await pool.run(demand, request, UPLOAD)
        draft = await receive_body(request, hub.contents, hub.settings.max_file_bytes, pool)
        try:
            await pool.run(keep_file, hub, asking, draft)
        finally:
            draft.discard()
        return {"file_hash": draft.digest, "message": "stored"}

    return router


def keep_file(hub: Hub, asking: Viewer, draft: Draft) -> None:
    """Keep a file that everybody may read, and the blocks that it names if it is a flist."""
    try:
        parsed = parse_flist(draft.path)
        hub.blocks.adopt(parsed.blocks)
        uses = hub.readers.claimable(asking, parsed.blocks)
        kind = parsed.format
    except InvalidError:
        uses, kind = set(), ""
    hub.contents.send(asking, draft, is_open=True)
    with hub.database.writing() as connection:
        hub.contents.keep(asking, connection, draft, kind, uses)
        claim(connection, asking, draft.digest)
        for block_id in sorted(uses):
            note_upload(connection, asking, block_id, is_open=True)


def sizes_of(hub: Hub, asking: Viewer, names: Sequence[str]) -> list[int] | None:
    """Return the sizes of blocks; None if one is not there, or may not be read."""
    sizes = []
    for name in names:
        block_id = bytes.fromhex(name)
        size = hub.blocks.size(block_id)
        if size is None or not hub.readers.may_read_block(asking, block_id):
            return None
        sizes.append(size)
    return sizes
