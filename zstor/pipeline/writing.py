"""Writes the chunks of one object: two are on their way while the next one is prepared."""

from collections import deque
from concurrent.futures import Future, wait
from functools import partial
from typing import NamedTuple

from zstor.backends.zdb import Servers
from zstor.codec.checksum import short_checksum
from zstor.codec.erasure import disperse
from zstor.errors import BackendError, UnreachableError
from zstor.format.file import Chunk, Piece
from zstor.format.piece import PieceName, wrap_piece
from zstor.model import Backend, Place
from zstor.pipeline.pieces import ChunkName
from zstor.pipeline.placing import Places
from zstor.pipeline.vault import Vault

AHEAD = 2
MAX_NOTES = 100_000
UNDO_S = 5.0


class Sending(NamedTuple):
    """A piece on its way."""

    piece: bytes
    backend: Backend
    future: Future[bytes]


class Batch(NamedTuple):
    """A chunk on its way."""

    name: ChunkName
    length: int
    sendings: list[Sending]


class Writer:
    """Sends pieces to the places of their shards; a place that fails is replaced.

    `written` has what to remove if the rest fails. `is_uncertain` says that there may be more:
    a backend may have stored a piece whose key did not arrive.
    """

    def __init__(self, vault: Vault, object_id: bytes, places: Places) -> None:
        self.vault = vault
        self.object_id = object_id
        self.places = places
        self.numbers: dict[Place, int] = {}
        self.waiting: deque[Batch] = deque()
        self.written: list[tuple[Backend, bytes]] = []
        self.is_uncertain = False

    @property
    def servers(self) -> Servers:
        """Return the backends' commands."""
        return self.vault.servers

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
        call = partial(self.servers.add, backend, piece)
        return Sending(piece, backend, self.vault.pool.submit(call))

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
                key = future.result()
            except BackendError as error:
                self.is_uncertain |= isinstance(error, UnreachableError)
                self.places.replace(shard, backend, error.message)
                sendings[shard] = self._send(piece, shard)
            else:
                self._note(backend, key)
                return Piece(self._number(backend), short_checksum(piece), key)

    def _note(self, backend: Backend, key: bytes) -> None:
        if len(self.written) < MAX_NOTES:
            self.written.append((backend, key))
        else:
            self.is_uncertain = True

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

    def undo(self) -> bool:
        """Remove all pieces that were stored; return whether none is left for certain."""
        sendings = [sending for batch in self.waiting for sending in batch.sendings]
        left = [sending for sending in sendings if not sending.future.cancel()]
        ended, running = wait([sending.future for sending in left], UNDO_S)
        for sending in left:
            if sending.future in ended and sending.future.exception() is None:
                self.written.append((sending.backend, sending.future.result()))
        calls = [partial(self.servers.delete, *place) for place in self.written]
        ends = self.vault.pool.gather(calls, lambda _: True, UNDO_S).values()
        is_clean = len(ends) == len(calls) and not any(isinstance(e, BackendError) for e in ends)
        return is_clean and not running and not self.is_uncertain
