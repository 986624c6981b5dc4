"""Encodes chunks in threads and puts them into stores, with few of them in memory at a time."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from common.processors import cpu_count
from flist.blocks.codec import check_arrival, digest, encode
from flist.blocks.parts import LARGE_BYTES, encode_parts
from flist.format.legacy.blocks import encode_legacy
from flist.model import CHUNK_BYTES, Block, Route
from flist.store.routed import RoutedStore, open_routes
from flist.store.sender import give

QUEUED_PER_THREAD = 4
NO_BLOCK = Block(b"", b"")
ZERO_CHUNK = bytes(CHUNK_BYTES)


class ChunkWriter:
    """Stores chunks in threads; an error of a thread is raised by the next call. With `is_legacy`
    the blocks have the older format."""

    def __init__(
        self, routes: Sequence[Route], threads: int = 0, *, is_legacy: bool = False
    ) -> None:
        self.routes = routes
        self.is_legacy = is_legacy
        self.threads = threads or cpu_count()
        self.slots = threading.Semaphore(self.threads * QUEUED_PER_THREAD)
        self.lock = threading.Lock()
        self.begun: set[bytes] = set()
        self.failure: BaseException | None = None
        self.zero: Block | None = None
        self.parts: dict[bytes, bytes] = {}  # rows of `flist.blocks.parts`, by block id
        self.store: RoutedStore
        self.pool: ThreadPoolExecutor

    def __enter__(self) -> "ChunkWriter":
        self.store = self.open_stores()
        self.pool = ThreadPoolExecutor(self.threads, thread_name_prefix="encode")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.pool.shutdown(wait=error is None, cancel_futures=True)  # as in `thread_pool`
        self.store.close()

    def open_stores(self) -> RoutedStore:
        """Return the stores, which are closed at the end."""
        return open_routes(self.routes, check_arrival)

    def add(self, chunk: bytes, blocks: list[Block], file_size: int = 0) -> None:
        """Store `chunk`; after `wait`, its block is in `blocks`, in the order of the calls.

        For a large file, `parts` then has the parts of the block.
        """
        is_large = file_size > LARGE_BYTES and not self.is_legacy
        zero = self.zero
        if chunk == ZERO_CHUNK and zero is not None and (not is_large or zero.id in self.parts):
            blocks.append(zero)
            return
        blocks.append(NO_BLOCK)
        place = len(blocks) - 1
        self.slots.acquire()
        if self.failure is not None:
            self.slots.release()
            raise self.failure
        self.pool.submit(self.work, chunk, blocks, place, is_large)

    def work(self, chunk: bytes, blocks: list[Block], place: int, is_large: bool) -> None:
        """Encode one chunk, and store it unless that is done or being done."""
        try:
            if self.is_legacy:
                block, data = encode_legacy(chunk)
            elif is_large:
                (block, data), row = encode_parts(chunk, digest(chunk))
                self.parts[block.id] = row
            else:
                block, data = encode(chunk)
            with self.lock:
                is_new = block.id not in self.begun
                self.begun.add(block.id)
            if is_new:
                give(self.store, {block.id: data})
            blocks[place] = block
            if chunk == ZERO_CHUNK:
                self.zero = block
        except BaseException as error:
            self.failure = error
        finally:
            self.slots.release()

    def wait(self) -> None:
        """Return when all blocks are stored."""
        count = self.threads * QUEUED_PER_THREAD
        for _ in range(count):
            self.slots.acquire()
        self.slots.release(count)
        if self.failure is not None:
            raise self.failure

    def flush(self) -> None:
        """Return when every block would survive a power cut."""
        self.wait()
        self.store.flush()
