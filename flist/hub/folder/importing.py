"""Takes what a plain folder holds into a hub: blocks, flists with their history, uploaded files.

The folder's own files stay as they are; only its blocks are shared with the hub, if that keeps its
blocks in the same place. What cannot be taken is told, and does not keep the rest from it.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import update

from common.files import open_regular
from flist.bulk.references import read_names
from flist.errors import FlistError, SignatureError
from flist.format.signing.signature import MAX_TEXT_CHARS, parse_signature
from flist.hub.contents.contents import PIECE_BYTES
from flist.hub.errors import ConflictError, InvalidError
from flist.hub.folder.library import Library
from flist.hub.folder.versions import Version, Versions
from flist.hub.library.hub import Hub
from flist.hub.names import DIGEST
from flist.hub.state.batches import batches
from flist.hub.state.blocks import note_upload
from flist.hub.state.garbage import Progress
from flist.hub.state.objects import insert_all
from flist.hub.state.tables import ENTRIES, FILES, PIECES, VERSIONS
from flist.hub.state.viewer import ANYBODY, Viewer
from flist.server.names import name_file
from flist.store.base import Stored
from flist.store.folder import FolderStore
from serving.database import insert_new


@dataclass
class Imported:
    """What was taken, and what was not."""

    blocks: int = 0
    versions: int = 0
    files: int = 0
    problems: list[str] = field(default_factory=list)


def is_plain(root: Path) -> bool:
    """Return whether a folder holds something to take."""
    return any((root / name).is_dir() for name in ("flists", "blocks", "history", "files"))


def import_folder(hub: Hub, owner: Viewer, root: Path, progress: Progress) -> Imported:
    """Take everything; `owner` gets it."""
    return Importer(hub, owner, root, progress).run()


class Importer:
    """One import of the plain folder `root`."""

    def __init__(self, hub: Hub, owner: Viewer, root: Path, progress: Progress) -> None:
        self.hub = hub
        self.owner = owner
        self.root = root
        self.progress = progress
        self.source = FolderStore(root / "blocks")
        self.found = Imported()

    def run(self) -> Imported:
        """Take the blocks first: the others name them."""
        for batch in batches(self.source.stored()):
            self.take_blocks(batch)
            self.progress("blocks", self.found.blocks)
        versions = Versions(self.root)
        for name in self.names():
            repo, _, file = name.partition("/")
            for version in reversed(versions.list(repo, file)):
                self.take_version(versions, repo, file, version)
            self.progress("versions", self.found.versions)
        for path in sorted((self.root / "files").glob("*")):
            self.take_file(path)
            self.progress("files", self.found.files)
        return self.found

    def names(self) -> list[str]:
        """Return repo/name of all flists that are or were published."""
        kept = (f"{path.parent.name}/{path.name}" for path in self.root.glob("history/*/*.fl"))
        return sorted({*Library(self.root).names(), *kept})

    def take_blocks(self, batch: Sequence[Stored]) -> None:
        """Take blocks, which everybody could read."""
        taken = []
        for block in batch:
            with self.telling(f"block {block.id.hex()}"):
                data = self.source.get(block.id)
                if self.hub.blocks.has_hash(block.id, data):
                    self.hub.blocks.put(ANYBODY, block.id, data, is_open=True)
                    taken.append(block.id)
                else:
                    self.found.problems.append(f"block {block.id.hex()}: it is damaged")
        with self.hub.database.writing() as connection:
            for block_id in taken:
                note_upload(connection, self.owner, block_id, is_open=True)
        self.found.blocks += len(taken)

    def take_version(self, versions: Versions, repo: str, name: str, version: Version) -> None:
        """Publish one version; the order is that in which they were published."""
        path, beside = versions.current(repo, name), versions.current(repo, f"{name}.sig")
        if not version.is_current:
            path = versions.folder(repo, name) / f"{version.digest}.fl"
            beside = path.with_suffix(".sig")
        with self.telling(f"{repo}/{name}, version {version.digest}"):
            with contextlib.suppress(ConflictError):
                self.hub.repositories.create(self.owner, repo)
            draft = self.hub.contents.receive(read_pieces(path))
            try:
                text = read_signature(beside, draft.digest)
                self.hub.flists.publish(self.owner, repo, name, draft, text)
            finally:
                draft.discard()
            self.set_time(repo, name, draft.digest, version.published_s)
            self.found.versions += 1

    def set_time(self, repo: str, name: str, digest: str, at_s: float) -> None:
        """Say when a version was published, which was not now."""
        mine = {"repository_id": self.hub.repositories.find(self.owner, repo).id, "name": name}
        with self.hub.database.writing() as connection:
            this = update(VERSIONS).filter_by(**mine, object=digest)
            connection.execute(this.values(published_s=at_s))
            connection.execute(update(ENTRIES).filter_by(**mine, tag="").values(changed_s=at_s))

    def take_file(self, path: Path) -> None:
        """Take the list of an uploaded file: `HASH.blocks`, or a folder of parts."""
        name = path.name.removesuffix(".blocks")
        if not DIGEST.fullmatch(name):
            return
        with self.telling(f"file {name}"):
            if path.is_dir():
                parts = sorted((part for part in path.iterdir() if part.name.isdigit()),
                               key=lambda part: int(part.name))  # fmt: skip
                blocks = [block for part in parts for block in read_names(part)]
                self.check(name_file(blocks) == name, "parts of it are missing")
            else:
                blocks = read_names(path)
            self.keep_file(name, [bytes.fromhex(block) for block in blocks], path.is_dir())
            self.found.files += 1

    def keep_file(self, name: str, blocks: Sequence[bytes], is_parts: bool) -> None:
        """Record a file and its blocks."""
        total, size = hashlib.sha256(), 0
        for piece in map(self.hub.blocks.get, blocks):
            total.update(piece)
            size += len(piece)
        self.check(is_parts or total.hexdigest() == name, "its blocks are not those of this file")
        with self.hub.database.writing() as connection:
            self.check(not self.hub.blocks.rely_on(connection, blocks), "blocks are missing")
            if is_parts:
                rows = ({"object": name, "position": at, "block": b} for at, b in enumerate(blocks))
                insert_all(connection, PIECES, rows)
            else:
                self.hub.objects.record(connection, name, size, "", blocks, ())
            values = {"object": name, "account_id": self.owner.account_id, "at_s": 0.0}
            insert_new(connection, FILES, values)

    @staticmethod
    def check(is_good: bool, what: str) -> None:
        """Raise `InvalidError` unless something is good."""
        if not is_good:
            raise InvalidError(what)

    @contextlib.contextmanager
    def telling(self, what: str) -> Iterator[None]:
        """Note what cannot be taken."""
        try:
            yield
        except (FlistError, OSError) as error:
            reason = error.message if isinstance(error, FlistError) else error.strerror
            self.found.problems.append(f"{what}: {reason}")


def read_pieces(path: Path) -> Iterator[bytes]:
    """Yield the content of a regular file."""
    with open_regular(path) as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


def read_signature(path: Path, digest: str) -> str | None:
    """Return the signature in a file, if it is one of this flist."""
    try:
        with open_regular(path) as stream:
            text = stream.read(MAX_TEXT_CHARS + 1).decode()
        return text if parse_signature(text).sha256 == digest else None
    except (OSError, UnicodeDecodeError, SignatureError):
        return None
