"""Writes the chunks of one object: two are on their way while the next one is prepared."""

from collections import deque
from concurrent.futures import Future
from functools import partial
from typing import NamedTuple

from zstor.codec.checksum import short_checksum
from zstor.codec.erasure import disperse
from zstor.errors import BackendError
from zstor.format.file import Chunk, Piece
from zstor.format.piece import PieceName, wrap_piece
from zstor.model import Backend, Place
from zstor.pipeline.pieces import ChunkName
from zstor.pipeline.placing import Places
from zstor.pipeline.vault import Vault
from zstor.pipeline.written import Written

AHEAD = 2


class Sending(NamedTuple):
    """A piece on its way."""

    piece: bytes
    backend: Backend
    future: Future[tuple[bytes, bytes]]


class Batch(NamedTuple):
    """A chunk on its way."""

    name: ChunkName
    length: int
    sendings: list[Sending]


class Writer:
    """Sends pieces to the places of their shards; a place that fails is replaced."""

    def __init__(self, vault: Vault, object_id: bytes, places: Places) -> None:
        self.vault = vault
        self.object_id = object_id
        self.places = places
        self.numbers: dict[Place, int] = {}
        self.waiting: deque[Batch] = deque()
        self.written = Written(vault.servers)

    def start(self, name: ChunkName, sealed: bytes) -> list[Chunk]:
        """Begin to send a chunk; return the entries of earlier ones that are stored by now."""
        shards = disperse(sealed, *self.vault.config.shape)
        sendings = [
            self._send(wrap_piece(PieceName(self.object_id, *name, n), shard), n)
            for n, shard in enumerate(shards)
        ]
        self.waiting.append(Batch(name, len(sealed), sendings))
        return [self._finish_first()] if len(self.waiting) > AHEAD else []

    def _send(self, piece: bytes, shard: int) -> Sending:
        backend = self.places.chosen[shard]
        call = partial(self._store, backend, piece)
        return Sending(piece, backend, self.vault.pool.submit(call))

    def _store(self, backend: Backend, piece: bytes) -> tuple[bytes, bytes]:
        """Store a piece; return its key and its checksum, which other threads compute meanwhile."""
        return self.written.add(backend, piece), short_checksum(piece)

    def finish(self) -> list[Chunk]:
        """Return the entries of all chunks that are left."""
        return [self._finish_first() for _ in range(len(self.waiting))]

    def _finish_first(self) -> Chunk:
        batch = self.waiting[0]
        pieces = tuple(self._wait(batch.sendings, n) for n in range(len(batch.sendings)))
        self.waiting.popleft()
        return Chunk(batch.length, pieces)

    def _wait(self, sendings: list[Sending], shard: int) -> Piece:
        """Return the entry of a piece when it is stored, at its place or at another one."""
        while True:
            piece, backend, future = sendings[shard]
            try:
                key, checksum = future.result()
            except BackendError as error:
                self.places.replace(shard, backend, error.message)
                sendings[shard] = self._send(piece, shard)
            else:
                return Piece(self._number(backend), checksum, key)

    def _number(self, backend: Backend) -> int:
        return self.numbers.setdefault(backend.place, len(self.numbers))

    def write_now(self, name: ChunkName, sealed: bytes) -> Chunk:
        """Send a chunk and wait for it; those before it keep their place in the queue."""
        earlier, self.waiting = self.waiting, deque()
        try:
            self.start(name, sealed)
            return self._finish_first()
        finally:
            self.waiting.extendleft(reversed(earlier))
