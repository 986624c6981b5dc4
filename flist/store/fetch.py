"""Fetches blocks and decodes them: from memory, the cache or the store, each block once at a time.

Bytes from a store are checked against the block's id first (by the routes, so that the next mirror
is tried when the check fails), then against tag and size; only then they are cached. Bytes from the
cache are checked by tag and size, which show any damage; a cache may check ids as well.

The codec is imported by the functions that need it: a mount is up before that.
"""

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from flist.blocks.parts import Part, decode_part
from flist.errors import BlockError, FlistError, StoreError
from flist.model import MAX_BLOCK_BYTES, Block
from flist.store.base import Store, get_range
from flist.store.cache import BlockCache

if TYPE_CHECKING:
    from flist.blocks.decoder import Decoder

KEPT_BYTES = 8 << 20
KEPT_PARTS = 32


class Statistics:
    """Counters of a fetcher: blocks, and bytes that came from the store."""

    lock = threading.Lock()  # of the class, so that `vars` of an object gives the counters only

    def __init__(self) -> None:
        self.memory_hits = 0
        self.cache_hits = 0
        self.fetched = 0
        self.fetched_bytes = 0
        self.refused = 0
        self.failed = 0
        self.fetch_s = 0.0
        self.slowest_s = 0.0

    def note_fetch(self, size: int, duration_s: float) -> None:
        """Count a block that came from the store."""
        with self.lock:
            self.fetched += 1
            self.fetched_bytes += size
            self.fetch_s += duration_s
            self.slowest_s = max(self.slowest_s, duration_s)


class Arrival:
    """A chunk that one thread fetches and others wait for."""

    def __init__(self) -> None:
        self.ended = threading.Lock()  # held until the fetch has ended; far cheaper than an Event
        self.ended.acquire()
        self.chunk: bytes | None = None
        self.error: BaseException | None = None

    def result(self) -> bytes:
        """Wait, and return the chunk or raise what the fetch raised."""
        with self.ended:
            pass
        if self.chunk is None:
            assert self.error is not None
            raise self.error
        return self.chunk


class Fetcher:
    """Plain chunks of blocks. Safe to use from several threads; one fetch per block at a time.

    `store` must check ids itself, as the one from `flist.store.routed.open_routes` does. `is_local`
    says that it is on this machine, so a read takes next to no time.
    """

    def __init__(
        self,
        store: Store | None,
        cache: BlockCache | None,
        kept_bytes: int = KEPT_BYTES,
        *,
        is_local: bool = False,
    ) -> None:
        self.store = store
        self.cache = cache
        self.kept_bytes = kept_bytes
        self.kept = 0
        self.is_local = is_local
        self.statistics = Statistics()
        self.lock = threading.Lock()
        self.chunks: OrderedDict[Block, bytes] = OrderedDict()
        self.parts: OrderedDict[tuple[Block, Part], bytes] = OrderedDict()
        self.running: dict[Block, Arrival] = {}
        self.decoder: Decoder | None = None  # for the thread that calls `plain_now`

    def plain(self, block: Block, size: int) -> bytes:
        """Return the `size` plain bytes of `block`; raises `FlistError`, never wrong bytes."""
        with self.lock:
            if (chunk := self.find_kept(block, size)) is not None:
                return chunk
            arrival = self.running.get(block)
            if arrival is None:
                mine = self.running[block] = Arrival()
        if arrival is not None:
            data = arrival.result()
            return data if len(data) == size else self.load(block, size)
        try:
            mine.chunk = self.load(block, size)
        except BaseException as error:
            mine.error = error
            raise
        finally:
            self.finish(block, mine.chunk)
            mine.ended.release()
        return mine.chunk

    def find_kept(self, block: Block, size: int) -> bytes | None:
        """Return a chunk that is in memory. The caller holds the lock."""
        chunk = self.chunks.get(block)
        if chunk is None or len(chunk) != size:
            return None
        self.chunks.move_to_end(block)
        self.statistics.memory_hits += 1
        return chunk

    def plain_now(self, block: Block, size: int) -> bytes | memoryview | None:
        """Return what `plain` would if no network is needed, or else None. For one thread only; the
        next call may overwrite the bytes."""
        if self.decoder is not None:
            beside = self.decoder.claim_next(block)
            if beside is not None:
                with contextlib.suppress(
                    Exception
                ):  # the thread that reads that chunk gets the error
                    self.load_now(beside.block, beside.size)
            ready = self.decoder.take(block, size)
            if ready is not None:
                return ready
        return self.load_now(block, size)

    def load_now(self, block: Block, size: int) -> bytes | None:
        """Return a chunk that is in memory, or whose block is on this machine."""
        with self.lock:
            if (chunk := self.find_kept(block, size)) is not None:
                return chunk
            if block in self.running:
                return None
        if self.is_local:
            return self.plain(block, size)
        chunk = self.load_cached(block, size)
        if chunk is not None:
            self.finish(block, chunk)
        return chunk

    def is_decoded(self, block: Block) -> bool:
        """Return whether a chunk is in memory or soon will be. For the thread that calls
        `plain_now`."""
        return block in self.chunks or (self.decoder is not None and block in self.decoder.slots)

    def part_now(self, block: Block, part: Part) -> bytes | None:
        """Return the plain bytes of a part of a block on this machine, or None.

        After None the caller must read the whole block, which raises any error. For the thread that
        calls `plain_now`.
        """
        known = self.parts.get((block, part))
        if known is not None:
            self.parts.move_to_end((block, part))
            self.statistics.memory_hits += 1
            return known
        try:
            plain = self.load_part(block, part)
        except FlistError:
            return None
        if plain is not None:
            self.parts[block, part] = plain
            if len(self.parts) > KEPT_PARTS:
                self.parts.popitem(last=False)
        return plain

    def load_part(self, block: Block, part: Part) -> bytes | None:
        """Return a part from the cache, or from a store on this machine."""
        if self.cache is not None:
            data = self.cache.get_range(block.id, part.start, part.length)
            if data is not None:
                plain = decode_part(block, part, data)
                self.statistics.cache_hits += 1
                return plain
        if self.is_local:
            started = time.monotonic()
            data = get_range(self.store, block.id, part.start, part.length)
            if data is not None:
                plain = decode_part(block, part, data)
                self.statistics.note_fetch(len(data), time.monotonic() - started)
                return plain
        return None

    def is_here(self, block: Block) -> bool:
        """Return whether a block is in memory, being fetched, or in the cache."""
        if block in self.chunks or block in self.running:
            return True
        return self.cache is not None and self.cache.folder.has(block.id)

    def finish(self, block: Block, chunk: bytes | None = None) -> None:
        """End the fetch of a block, and keep its chunk in memory."""
        with self.lock:
            self.running.pop(block, None)
            if chunk is not None:
                old = self.chunks.pop(block, b"")
                self.chunks[block] = chunk
                self.kept += len(chunk) - len(old)
                while self.kept > self.kept_bytes and len(self.chunks) > 1:
                    self.kept -= len(self.chunks.popitem(last=False)[1])

    def load(self, block: Block, size: int) -> bytes:
        """Return the chunk from the cache, or else from the store."""
        chunk = self.load_cached(block, size)
        return self.fetch(block, size) if chunk is None else chunk

    def load_cached(self, block: Block, size: int) -> bytes | None:
        """Return the chunk from the cache; a damaged file there is removed."""
        from flist.blocks.codec import decode

        chunk = self.read_cached(block, lambda data: decode(block, data, size))
        if chunk is not None:
            self.statistics.cache_hits += 1
        return chunk

    def read_cached(self, block: Block, check: Callable[[bytes], bytes]) -> bytes | None:
        """Return what `check` makes of the cached bytes of `block`; if it raises `BlockError`, the
        file is damaged and removed."""
        data = self.cache.get(block.id) if self.cache is not None else None
        if data is None:
            return None
        try:
            return check(data)
        except BlockError:
            assert self.cache is not None
            self.cache.remove(block.id)
            return None

    def load_packed(self, block: Block) -> bytes:
        """Return the encrypted bytes of `block`, checked against its id, from the cache or else
        from the store; what the store sends is then cached. Raises `FlistError`."""
        data = self.read_cached(block, lambda data: check_id(block, data))
        if data is None:
            data = self.require_store(block).get(block.id)
            if self.cache is not None:
                self.cache.put(block.id, data)
        return data

    def load_packed_now(self, block: Block) -> bytes | None:
        """Return the encrypted bytes of `block` if they are on this machine. Bytes from the cache
        were checked when they were cached; those from a local store are checked here."""
        data = self.cache.get(block.id) if self.cache is not None else None
        if data is None and self.is_local:
            data = self.get_packed(block)
        return data

    def get_packed(self, block: Block) -> bytes:
        """Return the encrypted bytes of a block from the store, checked.

        Bytes on this machine are compared with the check that the flist has for the block, which is
        faster than the id. If that fails, or the bytes are for the cache, where other flists rely
        on the id, the store checks the id.
        """
        from flist.blocks.codec import hash_check

        assert self.store is not None
        if self.is_local and self.cache is None and block.check:
            with contextlib.suppress(StoreError):
                data = get_range(self.store, block.id, 0, MAX_BLOCK_BYTES)
                if data is not None and hash_check(data) == block.check:
                    return data
        return self.store.get(block.id)

    def note_decoded(self, size: int, duration_s: float) -> None:
        """Count a block that the decoder took from the store or the cache."""
        if self.cache is None:
            self.statistics.note_fetch(size, duration_s)
        else:
            self.statistics.cache_hits += 1

    def fetch(self, block: Block, size: int) -> bytes:
        """Return the chunk from the store, and cache the block."""
        from flist.blocks.codec import decode

        self.require_store(block)
        started = time.monotonic()
        try:
            data = self.get_packed(block)
            chunk = decode(block, data, size)
        except BlockError:
            self.statistics.refused += 1
            raise
        except BaseException:
            self.statistics.failed += 1
            raise
        self.statistics.note_fetch(len(data), time.monotonic() - started)
        if self.cache is not None:
            self.cache.put(block.id, data)
        return chunk

    def require_store(self, block: Block) -> Store:
        """Return the store; raises `BlockError` when there is none, naming the block it lacks."""
        if self.store is None:
            raise BlockError(f"block {block.id.hex()} is not in the cache, and we are offline")
        return self.store

    def close(self) -> None:
        """Close the store."""
        if self.store is not None:
            self.store.close()


def check_id(block: Block, data: bytes) -> bytes:
    """Return `data`, the encrypted bytes of `block`; raises `BlockError` for any others."""
    check_arrival(block.id, data)
    return data


def check_arrival(block_id: bytes, data: bytes) -> None:
    """Do what `flist.blocks.codec.check_arrival` does."""
    from flist.blocks import codec

    codec.check_arrival(block_id, data)
