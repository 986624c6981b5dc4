"""Ends a program whose threads may still be blocked."""

import contextlib
import os
import sys
import time

MOMENT_S = 1.0


def leave(status: int) -> int:
    """Return `status`, or exit with it at once if other threads are still running.

    Such threads are usually blocked, for example by a store that never answers. The interpreter
    would join the non-daemon ones without a deadline, and stop the daemon ones when they return
    from a library, which can crash that library. Non-daemon threads get `MOMENT_S` to finish.
    """
    threading = sys.modules.get("threading")
    if threading is None or threading.active_count() == 1:
        return status
    deadline = time.monotonic() + MOMENT_S
    with contextlib.suppress(KeyboardInterrupt):
        for thread in threading.enumerate():
            if not thread.daemon and thread is not threading.main_thread():
                thread.join(max(deadline - time.monotonic(), 0.0))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
