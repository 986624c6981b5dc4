"""Threads that ask stores, for as long as all goes well."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor


@contextlib.contextmanager
def thread_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Give threads for the block. If it ends by an error (or Ctrl-C), what they have not begun is
    dropped and nobody waits for the rest: a store may hold them up for minutes."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()
