"""Chunks as pieces on backends: written to all of their shards' places, read from any k."""

import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import partial
from typing import NamedTuple

from zstor.codec.checksum import short_checksum
from zstor.codec.erasure import check_enough, join
from zstor.config import PIECE
from zstor.errors import BackendError, DamagedError, LostError
from zstor.format.file import Chunk, StoredFile
from zstor.format.piece import HEADER, unwrap_piece
from zstor.model import Place
from zstor.pipeline.vault import Vault

HEDGE_S = 2.0
"""After so long without k shards all others are asked for, too."""
SLOW_S = 60.0
"""For so long those that were waited for are asked last."""


class ChunkName(NamedTuple):
    """Which chunk of a file."""

    depth: int
    number: int


def fetch_piece(vault: Vault, file: StoredFile, chunk: Chunk, shard: int) -> bytes:
    """Return one shard; raise `BackendError` if it is missing, `DamagedError` if it is changed."""
    piece = chunk.pieces[shard]
    backend = vault.backend(file.places[piece.place])
    value = vault.servers.get(backend, piece.key, PIECE + HEADER.size)
    if value is None:
        raise BackendError(f"shard {shard} is not at {backend.place}")
    if short_checksum(value) != piece.checksum:
        raise DamagedError(f"shard {shard} at {backend.place} is damaged")
    return unwrap_piece(value)


def fetch_chunk(vault: Vault, file: StoredFile, chunk: Chunk) -> bytes:
    """Return a chunk's encrypted bytes, of any k good shards.

    The data shards are asked for first. Each that fails is made up for by another one, and all of
    them are asked for when it takes long.
    """
    k, m = file.shape
    shards, faults = _collect(vault, file, chunk)
    try:
        check_enough(shards, k, m)
    except LostError as error:
        for fault in faults:
            error.add_note(fault)
        raise
    data = join(shards, k, m)
    if len(data) != chunk.length:
        raise DamagedError("cannot join the shards: they have another length")
    return data


def _collect(vault: Vault, file: StoredFile, chunk: Chunk) -> tuple[Mapping[int, bytes], list[str]]:
    """Return k shards, or all there are, and what was wrong with the others."""
    k = file.shape.k
    left = _order(vault, file, chunk)
    waiting: dict[Future[bytes], int] = {}
    shards: dict[int, bytes] = {}
    faults = []
    hedge = time.monotonic() + HEDGE_S
    while len(shards) < k and (left or waiting):
        is_late = time.monotonic() >= hedge
        if is_late and left:
            _mark_slow(vault, [_place(file, chunk, shard) for shard in waiting.values()])
        while left and (is_late or len(shards) + len(waiting) < k):
            shard = left.pop(0)
            call = partial(fetch_piece, vault, file, chunk, shard)
            waiting[vault.pool.submit(call)] = shard
        patience = None if is_late else max(0.01, hedge - time.monotonic())
        for future in wait(waiting, patience, FIRST_COMPLETED).done:
            shard = waiting.pop(future)
            try:
                shards[shard] = future.result()
            except (BackendError, DamagedError) as error:
                faults.append(error.message)
    for future in waiting:
        future.cancel()
    return shards, faults


def _order(vault: Vault, file: StoredFile, chunk: Chunk) -> list[int]:
    """Return the shards in the order in which they are asked for."""
    now = time.monotonic()
    return sorted(
        range(file.shape.total),
        key=lambda shard: vault.slow.get(_place(file, chunk, shard), 0.0) > now,
    )


def _place(file: StoredFile, chunk: Chunk, shard: int) -> Place:
    return file.places[chunk.pieces[shard].place]


def _mark_slow(vault: Vault, places: list[Place]) -> None:
    until = time.monotonic() + SLOW_S
    vault.slow |= dict.fromkeys(places, until)
