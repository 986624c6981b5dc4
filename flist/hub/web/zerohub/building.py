"""Makes flists in an account's repository: of an archive, of a flist that was sent, of others."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flist.blocks.codec import decode
from flist.errors import FlistError
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
from flist.hub.web.zerohub.archives import read_archive
from flist.hub.web.zerohub.catalog import Catalog
from flist.hub.web.zerohub.describe import read_contents
from flist.model import CHUNK_BYTES, ROOT_INO, Block, Route

if TYPE_CHECKING:
    from flist.format.opening import AnyFlist

MISSING = "unauthorized upload, contents is not fully present on backend"
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
    """Builds flists on a hub. `folder` is where files arrive, `limit` their largest size."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.hub = catalog.hub
        self.folder = self.hub.contents.arriving
        self.limit = self.hub.settings.max_file_bytes

    def build_archive(self, actor: Actor, wish: Wish) -> Built:
        """Publish what is in an archive, and count it."""
        is_legacy = not wish.name.endswith(NEW_SUFFIX)
        self.hub.repositories.demand_write(actor.viewer, actor.repo)

        def put(block_id: bytes, data: bytes) -> None:
            self.hub.blocks.put(actor.viewer, block_id, data, is_open=False)

        tables = read_archive(wish.path, put, is_legacy=is_legacy)
        tables = tables._replace(tags={**wish.metadata, **self.find_readme(tables)})
        version = self.publish(actor, wish.name, tables)
        return Built(wish.name, self.read(actor, version).counts.as_json())

    def find_readme(self, tables: Tables) -> dict[str, str]:
        """Return the metadata of the file `.README.md` at the top of a tree, if there is one."""
        for inode in tables.inodes:
            if (inode.parent, inode.name) == (
                ROOT_INO,
                README,
            ) and 0 < inode.size <= MAX_README_BYTES:
                text = self.load(tables.blocks[inode.content_ino][0], inode.size)
                return {"readme": json.dumps({"readme": text.decode(errors="replace")})}
        return {}

    def load(self, block: Block, size: int) -> bytes:
        """Return what a block of this hub holds."""
        is_legacy = len(block.id) == LEGACY_HASH_BYTES
        return (decode_legacy if is_legacy else decode)(block, self.hub.blocks.get(block.id), size)

    def take_flist(self, actor: Actor, wish: Wish) -> Built:
        """Publish a flist that was sent, and say what is in it."""
        draft = self.hub.contents.adopt(wish.path)
        try:
            version = self.hub.flists.publish(actor.viewer, actor.repo, wish.name, draft)
        except BlocksMissingError as error:
            raise BlocksMissingError(f"{MISSING}: {error.message}", hint=error.hint) from error
        return Built(wish.name, self.read(actor, version).as_json())

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

    def publish(self, actor: Actor, name: str, tables: Tables) -> Version:
        """Write and publish a flist, whose stores are this hub's."""
        with self.drafted(name, tables._replace(routes=self.routes())) as draft:
            return self.hub.flists.publish(actor.viewer, actor.repo, name, draft)

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

    def read(self, actor: Actor, version: Version) -> Any:
        """Return what a published version holds."""
        with self.hub.flists.open_version(actor.viewer, version.digest) as flist:
            return read_contents(flist)
