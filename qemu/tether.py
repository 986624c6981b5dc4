"""Becomes another program that dies with its parent: tether.py PARENT_PID PROGRAM [ARGUMENT ...]

A child that asks the kernel for a signal at its parent's death needs code between fork and exec;
in a process with threads that is not safe in Python, so this runs after an exec of its own.
The parent is the thread that started us: it must live as long as the program is wanted.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # <sys/prctl.h>


def main() -> None:
    """Tie this process to its parent and become the program."""
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
