"""Makes flists in an account's repository: of an archive, of a flist that was sent, of others."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flist.archive.build import make_content
from flist.archive.errors import ArchiveError
from flist.archive.limits import Limits
from flist.archive.pack import ArchiveWork, reported
from flist.archive.stream import Watched
from flist.blocks.codec import decode
from flist.blocks.parts import rows_of_large_files
from flist.errors import FlistError
from flist.format.contents import count_entries
from flist.format.legacy.blocks import LEGACY_HASH_BYTES, decode_legacy
from flist.format.legacy.writer import write_legacy
from flist.format.merge import merge
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.hub.contents.contents import Draft
from flist.hub.errors import BlocksMissingError, InvalidError
from flist.hub.library.values import Version
from flist.hub.names import NEW_SUFFIX
from flist.hub.web.zerohub.acting import Actor
from flist.hub.web.zerohub.catalog import Catalog
from flist.hub.web.zerohub.writer import HubWriter
from flist.model import CHUNK_BYTES, ROOT_INO, Block, Route
from serving.pools import Pool

if TYPE_CHECKING:
    from flist.format.opening import AnyFlist

MISSING = "unauthorized upload, contents is not fully present on backend"
BUILDERS = 2
README = b".README.md"
MAX_README_BYTES = CHUNK_BYTES
"""A readme is one block."""


@dataclass(frozen=True, slots=True)
class Wish:
    """A name for what is in a file that has arrived, and free metadata for it."""

    name: str
    path: Path
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Built:
    """What was published: its name, and what upstream's builder would print of it."""

    name: str
    response: dict[str, Any]


class Builder:
    """Builds flists on a hub. `folder` is where files arrive, `limit` their largest size.

    The work is done in the threads of `pool`, its own: it may take minutes, and others upload.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.hub = catalog.hub
        self.folder = self.hub.contents.arriving
        self.limit = self.hub.settings.max_file_bytes
        self.pool = Pool(BUILDERS)

    def build_archive(self, actor: Actor, wish: Wish) -> Built:
        """Publish what is in an archive, and count it. Raises `InvalidError` for a hostile one."""
        self.hub.repositories.demand_write(actor.viewer, actor.repo)
        try:
            tables, stored = self.pack(actor, wish)
        except ArchiveError as error:
            raise InvalidError(error.message) from error
        tags = {**wish.metadata, **self.find_readme(tables)}
        self.publish(actor, wish.name, tables._replace(tags=tags), stored)
        return Built(wish.name, count_entries(tables.inodes)._asdict())

    def pack(self, actor: Actor, wish: Wish) -> tuple[Tables, set[bytes]]:
        """Put the contents of an archive into the store; return its tree, and its blocks' ids."""
        is_legacy = not wish.name.endswith(NEW_SUFFIX)
        limits = Limits(size_bytes=self.hub.settings.max_archive_bytes)
        writer = HubWriter(self.hub.blocks, actor.viewer, is_legacy=is_legacy)
        with wish.path.open("rb") as stream, writer:
            work = ArchiveWork(writer, limits, Watched(stream))
            with reported():
                work.read()
            writer.flush()
        tables = make_content(work.layer.root, {}, [])
        if len(tables.inodes) < 2:
            raise InvalidError("the archive is empty")
        parts = rows_of_large_files(tables.inodes, tables.blocks, writer.parts)
        return tables._replace(parts=parts), writer.opened.ids

    def find_readme(self, tables: Tables) -> dict[str, str]:
        """Return the metadata of the file `.README.md` at the top of a tree, if there is one."""
        for inode in tables.inodes:
            if (inode.parent, inode.name) == (ROOT_INO, README) and inode.is_file:
                blocks = tables.blocks.get(inode.content_ino, ())
                if blocks and inode.size <= MAX_README_BYTES:
                    text = self.load(blocks[0], inode.size).decode(errors="replace")
                    return {"readme": json.dumps({"readme": text})}
        return {}

    def load(self, block: Block, size: int) -> bytes:
        """Return what a block of this hub holds."""
        is_legacy = len(block.id) == LEGACY_HASH_BYTES
        return (decode_legacy if is_legacy else decode)(block, self.hub.blocks.get(block.id), size)

    def take_flist(self, actor: Actor, wish: Wish) -> Built:
        """Publish a flist that was sent, and say what is in it."""
        draft = self.hub.contents.adopt(wish.path)
        try:
            self.hub.flists.publish(actor.viewer, actor.repo, wish.name, draft)
        except BlocksMissingError as error:
            raise BlocksMissingError(f"{MISSING}: {error.message}", hint=error.hint) from error
        place = self.catalog.list_flist(actor.viewer, draft.digest)
        return Built(wish.name, json.loads(place.read_bytes()))

    def merge(self, actor: Actor, name: str, digests: list[str]) -> Version:
        """Publish what several flists hold together; of each path, the first one has it."""
        with contextlib.ExitStack() as opened:
            flists: list[AnyFlist] = []
            for digest in digests:
                flist = self.hub.flists.open_version(actor.viewer, digest)
                opened.callback(flist.close)
                flists.append(flist)
            tables = merge(flists)
        return self.publish(actor, name, tables)

    def publish(
        self, actor: Actor, name: str, tables: Tables, shown: AbstractSet[bytes] = frozenset()
    ) -> Version:
        """Write and publish a flist, whose stores are this hub's; see `Flists.publish`."""
        with self.drafted(name, tables._replace(routes=self.routes())) as draft:
            return self.hub.flists.publish(actor.viewer, actor.repo, name, draft, shown=shown)

    @contextlib.contextmanager
    def drafted(self, name: str, tables: Tables) -> Iterator[Draft]:
        """Give a flist as a draft. Raises `InvalidError` for what its format cannot hold."""
        with self.hub.contents.arrival() as (_, path):
            pass
        try:
            write = write_flist if name.endswith(NEW_SUFFIX) else write_legacy
            try:
                write(path, tables)
            except FlistError as error:
                reason = error.message.replace(str(path), name)
                raise InvalidError(reason, hint=error.hint) from error
            yield self.hub.contents.adopt(path)
        finally:
            path.unlink(missing_ok=True)

    def routes(self) -> list[Route]:
        """Return where clients find the blocks of what is made here."""
        url = self.hub.settings.public_store
        public = self.hub.settings.public_url.rstrip("/")
        found = url or (f"{public}/blocks" if public else "")
        return [Route(0, 255, found)] if found else []
