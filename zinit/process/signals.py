"""Signals of the daemon itself, delivered as bytes on a pipe that the loop watches."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal


def install_signals(numbers: tuple[int, ...]) -> int:
    """Turn each signal in `numbers` into a byte on a pipe; return the pipe's reading end.

    Signals that arrived during an exec are delivered now (see `hold_signals`).
    """
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    _signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        _signal.signal(number, lambda *_: None)
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, numbers)
    return reader


def hold_signals(numbers: tuple[int, ...], wake: int) -> None:
    """Block `numbers` and raise again those whose bytes are in the pipe `wake`.

    They stay pending across an exec until they are unblocked.
    """
    _signal.pthread_sigmask(_signal.SIG_BLOCK, numbers)
    try:
        pending = os.read(wake, 4096)
    except OSError:
        return  # the pipe is empty or does not exist yet
    for number in set(pending):
        os.kill(os.getpid(), number)


def release_signals(numbers: tuple[int, ...]) -> None:
    """Undo `hold_signals`."""
    _signal.pthread_sigmask(_signal.SIG_UNBLOCK, numbers)
