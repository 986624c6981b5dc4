"""Runs code in a child process that has less: no network, or another user's rights."""

import ctypes
import os
import signal
import traceback
from collections.abc import Callable

import pytest

LONGEST_S = 600
CLONE_NEWNET = 0x40000000
NOBODY = 65534


def run_in_child(work: Callable[[], None]) -> None:
    """Call `work` in a child process; fail if it raises. What it prints is this test's output."""
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(LONGEST_S)
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    if os.waitpid(child, 0)[1] != 0:
        pytest.fail("the child process failed; its output says why")


def leave_network() -> None:
    """Move this process to a network namespace in which nothing can be reached. Needs root."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "cannot leave the network")


def become_nobody() -> None:
    """Give up root."""
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
