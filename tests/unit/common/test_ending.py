"""The end of a program whose threads are blocked, busy or absent."""

import subprocess
import sys

import pytest

from tests.helpers.checkout import TOP

ENDS_WITHIN_S = 60.0
STUCK = """
import os, sys, threading
from concurrent.futures import ThreadPoolExecutor
from common.ending import leave

def wait_for_ever():
    os.read(os.pipe()[0], 1)

ThreadPoolExecutor(1).submit(wait_for_ever)
threading.Thread(target=wait_for_ever, daemon=True).start()
sys.stdout.write("said")
sys.exit(leave(3))
"""
BUSY = """
import os, sys, threading
from common import ending

def complete():
    threading.Event().wait(0.2)
    os.write(1, b"completed")

ending.MOMENT_S = 60.0
threading.Thread(target=complete).start()
sys.exit(ending.leave(3))
"""
WITHOUT_THREADS = """
import atexit, sys
from common.ending import leave

atexit.register(print, "bye")
sys.exit(leave(3))
"""
KEPT = """
import sys
from common.ending import leave

class Kept:
    def __del__(self):
        print("freed")

kept = Kept()
sys.exit(leave(3))
"""


def run(script: str) -> tuple[int, str]:
    """Run a script; return its exit status and its stdout."""
    call = [sys.executable, "-c", script]
    done = subprocess.run(
        call, cwd=TOP, stdout=subprocess.PIPE, text=True, timeout=ENDS_WITHIN_S, check=False
    )
    return done.returncode, done.stdout


def test_blocked_threads_do_not_delay_the_end() -> None:
    assert run(STUCK) == (3, "said")


def test_busy_threads_get_a_moment_to_finish() -> None:
    assert run(BUSY) == (3, "completed")


@pytest.mark.parametrize("before", ["", "import threading"])
def test_without_threads_what_was_registered_is_called(before: str) -> None:
    assert run(before + WITHOUT_THREADS) == (3, "bye\n")


def test_the_interpreter_is_not_taken_apart() -> None:
    assert run(KEPT) == (3, "")
