"""Looks at each shard of a chunk: is it there, and is it what was stored?"""

import time
from functools import partial
from typing import Literal, NamedTuple

from zstor.codec.checksum import short_checksum
from zstor.config import PIECE
from zstor.errors import BackendError, UnreachableError
from zstor.format.file import Chunk, Piece, StoredFile
from zstor.format.piece import HEADER, unwrap_piece
from zstor.model import Place
from zstor.pipeline.vault import Vault
from zstor.repair.rate import Rate

Reason = Literal["missing", "damaged", "unreachable", "moved"]
GONE_S = 60.0
"""So long a backend that did not answer is not asked again: a hung one would hold up each chunk."""


class Fault(NamedTuple):
    """What is wrong with a shard. `moved`: it is good, but its backend is no longer configured."""

    shard: int
    place: Place
    reason: Reason
    text: str


class Inspection(NamedTuple):
    """The good shards of a chunk by number (empty ones, if only their presence was asked for)."""

    shards: dict[int, bytes]
    faults: list[Fault]


class Inspector:
    """Reads all shards of chunks, at a bounded rate."""

    def __init__(
        self, vault: Vault, rate: Rate | None = None, *, is_presence_enough: bool = False
    ) -> None:
        self.vault = vault
        self.rate = rate or Rate()
        self.is_presence_enough = is_presence_enough
        self.gone: dict[Place, tuple[float, str]] = {}

    def inspect(self, file: StoredFile, chunk: Chunk) -> Inspection:
        """Return which shards of a chunk are good, and what is wrong with the others."""
        if not self.is_presence_enough:
            self.rate.take(len(chunk.pieces) * (chunk.length // file.shape.k + HEADER.size))
        calls = [partial(self._look, file, n, piece) for n, piece in enumerate(chunk.pieces)]
        shards: dict[int, bytes] = {}
        faults: list[Fault] = []
        for number, end in enumerate(self.vault.pool.run(calls)):
            assert not isinstance(end, BackendError)
            shard, fault = end
            if shard is not None:
                shards[number] = shard
            if fault is not None:
                faults.append(fault)
        return Inspection(shards, faults)

    def _look(
        self, file: StoredFile, number: int, piece: Piece
    ) -> tuple[bytes | None, Fault | None]:
        place = file.places[piece.place]

        def fault(reason: Reason, text: str) -> Fault:
            return Fault(number, place, reason, text)

        until, why = self.gone.get(place, (0.0, ""))
        if time.monotonic() < until:
            return None, fault("unreachable", why)
        try:
            shard = self._read(place, piece)
        except BackendError as error:
            if isinstance(error, UnreachableError):
                self.gone[place] = time.monotonic() + GONE_S, error.message
            return None, fault("unreachable", error.message)
        except ValueError:
            return None, fault("damaged", f"shard {number} at {place} is damaged")
        if shard is None:
            return None, fault("missing", f"shard {number} is not at {place}")
        if place not in self.vault.backends:
            return shard, fault("moved", f"shard {number} is at {place}, which is not configured")
        return shard, None

    def _read(self, place: Place, piece: Piece) -> bytes | None:
        """Return a shard, None if it is not there; raise `ValueError` if it is damaged."""
        backend = self.vault.backend(place)
        if self.is_presence_enough:
            return b"" if self.vault.servers.has(backend, piece.key) else None
        value = self.vault.servers.get(backend, piece.key, PIECE + HEADER.size)
        if value is None:
            return None
        if short_checksum(value) != piece.checksum:
            raise ValueError
        return unwrap_piece(value)
