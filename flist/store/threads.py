"""Threads for calls to stores. They never delay Ctrl-C: a store may hang for minutes."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

Result = TypeVar("Result")


@contextlib.contextmanager
def thread_pool(threads: int) -> "Iterator[ThreadPoolExecutor]":
    """Yield a pool of threads. If the `with` block ends with an error (or Ctrl-C), jobs that have
    not begun are dropped, and nothing waits for the others."""
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def start(work: Callable[[], Result]) -> "Future[Result]":
    """Call `work` in a daemon thread, which does not delay the end of the process."""
    from concurrent.futures import Future

    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future
