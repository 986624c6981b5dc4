"""Stores files in our format.

Pieces come first and metadata last, so a reader sees the old file or the new one. What was written
of a file that can't be finished is removed; an entry of the journal says so until it is.
"""

import os
import time
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from zstor.codec.checksum import LONG, start_checksum
from zstor.codec.cipher import seal
from zstor.codec.compression import Compression, compress
from zstor.codec.keys import make_data_key
from zstor.errors import BackendError, QuorumError, ZstorError
from zstor.format.file import (
    NO_CHECKSUM,
    OBJECT,
    Chunk,
    Kind,
    StoredFile,
    encode_file,
    read_chunks,
)
from zstor.format.piece import place_of
from zstor.metastore.quorum import JOURNAL
from zstor.pipeline.pieces import ChunkName
from zstor.pipeline.placing import Places
from zstor.pipeline.reading import all_chunks
from zstor.pipeline.source import Source
from zstor.pipeline.table import LIMIT, Table
from zstor.pipeline.vault import Found, Vault
from zstor.pipeline.writing import Writer

MARGIN = 1 << 12
"""What a shard may need beside the bytes of the file."""


def store_file(vault: Vault, path: Path, name: str) -> StoredFile:
    """Store a file under a name, and return its metadata.

    A file whose content is stored already is not stored again.
    """
    with Source(path) as source:
        return store_source(vault, source, name)


def store_source(vault: Vault, source: Source, name: str, *, is_last: bool = False) -> StoredFile:
    """Store an open file under a name; if it `is_last`, also when the same is stored already."""
    old = find_to_replace(vault, name)
    if not is_last and old.file is not None and old.file.size == source.size:
        checksum = source.checksum(LONG)
        if checksum == old.file.checksum:
            return old.file
    parts = source.parts(vault.config.chunk_bytes)
    return store_parts(vault, parts, name, source.size, old=old)


def find_to_replace(vault: Vault, name: str) -> Found:
    """Return what is stored under a name; raise `QuorumError` if that is not certain."""
    found = vault.find(name)
    if not found.is_certain:
        raise QuorumError("cannot write the metadata: too few of its stores answer")
    return found


def store_parts(
    vault: Vault,
    parts: Iterable[bytes],
    name: str,
    size: int,
    attributes: tuple[tuple[str, bytes], ...] = (),
    old: Found | None = None,
) -> StoredFile:
    """Store bytes that come in parts of any size.

    `size` is how many there will be about: backends with less room are not used.
    """
    old = old or find_to_replace(vault, name)
    storing = Storing(vault, name, attributes)
    storing.begin(size)
    try:
        file = storing.write(parts)
    except BaseException:
        storing.undo()
        raise
    storing.commit(file, old)
    return file


def cut(parts: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Yield the same bytes in parts of `size`, of which only the last one may be shorter."""
    held: list[bytes] = []
    count = 0
    for part in parts:
        held.append(part)
        count += len(part)
        if count >= size:
            whole, end = b"".join(held), count - count % size
            for start in range(0, end, size):
                yield whole[start : start + size]
            held, count = [whole[end:]], count - end
    if count:
        yield b"".join(held)


class Storing:
    """One object on its way into the vault."""

    def __init__(
        self, vault: Vault, name: str, attributes: tuple[tuple[str, bytes], ...] = ()
    ) -> None:
        self.vault = vault
        self.config = vault.config
        self.object_id = os.urandom(OBJECT)
        self.key = make_data_key()
        wrap, wrapped = vault.wrap(self.key, self.object_id)
        self.file = StoredFile(
            *(Kind.UNFINISHED, self.object_id, name, time.time_ns(), 0, NO_CHECKSUM),
            *(self.config.chunk_bytes, self.config.shape, wrap, wrapped, attributes),
            *(tuple(vault.backends), 0, ()),
        )
        self.table = Table(self._write_table, min(LIMIT, self.config.chunk_bytes))

    def begin(self, size: int) -> None:
        """Choose the backends and write into the journal."""
        places = Places(self.vault, size // self.config.minimal_shards + MARGIN)
        self.writer = Writer(self.vault, self.object_id, places)
        self.vault.metastore.create(self._journal_key(self.object_id), encode_file(self.file))

    def _journal_key(self, object_id: bytes) -> bytes:
        return self.vault.metastore.entry_key(JOURNAL, object_id.hex())

    def write(self, parts: Iterable[bytes]) -> StoredFile:
        """Write all chunks; return the file's metadata."""
        checksum = start_checksum(LONG)
        size = 0
        kind = Compression[self.config.compression.algorithm.upper()]
        for number, part in enumerate(cut(parts, self.config.chunk_bytes)):
            checksum.update(part)
            size += len(part)
            place = place_of(self.object_id, 0, number)
            sealed = seal(self.key, compress(part, kind), place)
            self._add(self.writer.start(ChunkName(0, number), sealed))
        self._add(self.writer.finish())
        depth, entries = self.table.finish()
        return self.file._replace(
            kind=Kind.FILE,
            size=size,
            checksum=checksum.digest(),
            places=tuple(self.writer.numbers),
            depth=depth,
            chunks=tuple(read_chunks(entries, self.config.shape)),
        )

    def _add(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            self.table.add(chunk)

    def _write_table(self, depth: int, number: int, content: bytes) -> Chunk:
        place = place_of(self.object_id, depth, number)
        sealed = seal(self.vault.table_key(self.object_id), content, place)
        return self.writer.write_now(ChunkName(depth, number), sealed)

    def undo(self) -> None:
        """Remove what was written. What can't be removed stays in the journal."""
        try:
            if self.writer.written.undo():
                self.vault.metastore.remove(self._journal_key(self.object_id))
        except ZstorError:
            return

    def commit(self, file: StoredFile, old: Found) -> None:
        """Make the new file visible, and remove the old one's pieces.

        If that fails, some stores may have the new metadata. So its pieces stay, and the journal
        tells the collection of garbage to look.
        """
        if old.file is not None:
            journal_replaced(self.vault, old.file)
        key = self.vault.metastore.file_key(file.name)
        self.vault.metastore.write(key, encode_file(file), old.version)
        if not self.writer.written.is_uncertain:
            self.vault.metastore.remove(self._journal_key(self.object_id))
        if old.file is not None:
            remove_replaced(self.vault, old.file)


def journal_replaced(vault: Vault, file: StoredFile) -> None:
    """Write down that an object is about to be replaced."""
    key = vault.metastore.entry_key(JOURNAL, file.object_id.hex())
    vault.metastore.create(key, encode_file(file))


def remove_replaced(vault: Vault, file: StoredFile) -> None:
    """Remove the pieces of a replaced object; if that can't be done, the journal keeps it."""
    try:
        if remove_pieces(vault, file):
            vault.metastore.remove(vault.metastore.entry_key(JOURNAL, file.object_id.hex()))
    except ZstorError:
        return


def remove_pieces(vault: Vault, file: StoredFile) -> bool:
    """Remove all pieces of an object; return whether all are gone."""
    is_clean = True
    for _, _, chunk in all_chunks(vault, file):
        calls = [
            partial(vault.servers.delete, vault.backend(file.places[piece.place]), piece.key)
            for piece in chunk.pieces
        ]
        ends = vault.pool.run(calls)
        is_clean &= not any(isinstance(end, BackendError) for end in ends)
    return is_clean


def delete(vault: Vault, name: str) -> bool:
    """Delete what is stored under a name; return whether there was anything."""
    old = find_to_replace(vault, name)
    if old.file is None:
        return False
    journal_replaced(vault, old.file)
    vault.metastore.write(vault.metastore.file_key(name), tombstone(old.file), old.version)
    remove_replaced(vault, old.file)
    return True


def tombstone(file: StoredFile) -> bytes:
    """Return what is written over a deleted file: a store that was down must not bring it back."""
    return encode_file(
        file._replace(
            kind=Kind.DELETED, stored_at=time.time_ns(), places=(), depth=0, chunks=(), size=0
        )
    )
