"""Ends a program, even if its threads are blocked, without taking the interpreter apart."""

import atexit
import contextlib
import os
import sys
import time
from typing import NoReturn

MOMENT_S = 1.0


def leave(status: int) -> NoReturn:
    """Exit with `status` at once.

    The interpreter would first free each object by itself, which takes as long as many a command.
    It would also join other threads without a deadline. Such threads are usually blocked, for
    example by a store that never answers; daemon threads would stop when they return from a
    library, which can crash that library. Non-daemon threads get `MOMENT_S` to finish. If no other
    thread runs, the functions registered with `atexit` are called.
    """
    threading = sys.modules.get("threading")
    if threading is None or threading.active_count() == 1:
        atexit._run_exitfuncs()
    else:
        deadline = time.monotonic() + MOMENT_S
        with contextlib.suppress(KeyboardInterrupt):
            for thread in threading.enumerate():
                if not thread.daemon and thread is not threading.main_thread():
                    thread.join(max(deadline - time.monotonic(), 0.0))
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)
