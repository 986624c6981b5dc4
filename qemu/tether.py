"""Executes a program that dies with its parent: tether.py PARENT_PID PROGRAM [ARGUMENT ...]

A process must itself ask the kernel for a signal at its parent's death (prctl(2)). Between fork
and exec that is not safe in a Python process with threads, so this script is executed first. To
the kernel, the parent is the thread that started this process; it must live as long as the program.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def main() -> None:
    """Request SIGKILL at the parent's death, then execute the program."""
    parent_pid, *argv = sys.argv[1:]
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != int(parent_pid):
        sys.exit("the parent has gone")
    try:
        os.execvp(argv[0], argv)
    except OSError as error:
        sys.exit(f"cannot run {argv[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
