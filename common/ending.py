"""How a program leaves when threads of its own may still be at something."""

import contextlib
import os
import sys
import time

MOMENT_S = 1.0


def leave(status: int) -> int:
    """Return the exit status of a program that has done all it had to; if threads are left, end it
    here and now.

    They are held up, by a store that never answers for one. The interpreter would wait for some of
    them, however long that takes, and stop the others wherever they come back from a library, which
    not every library survives. Those that it would wait for get a moment to complete what they do.
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
