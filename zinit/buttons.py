"""The power button: the kernel sends PID 1 a signal when it is pressed, which powers off in order.

No process waits for it: an input device with O_ASYNC sends its owner a signal for every event.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = "/sys/class/input"
DEVICES = "/dev/input"
# <linux/input-event-codes.h>, as bits. The kernel's button has a wake-up key, too, which it uses
# only after a sleep.
POWER, WAKE_UP = 1 << 116, 1 << 143
WORD_DIGITS = 16  # hexadecimal digits of the kernel's words of 64 bits


def watch_power_buttons(
    number: int,
    report: "Callable[[str], None]",
    inputs: str = INPUTS,
    devices: str = DEVICES,
) -> list[int]:
    """Have the kernel send signal `number` to this process when a power button is pressed.

    Returns the open devices: closing them ends it.
    """
    found = []
    for name in find_power_buttons(inputs):
        try:
            found.append(open_with_signal(f"{devices}/{name}", number))
        except (OSError, ImportError) as error:
            report(f"cannot watch the power button {name}: {error}")
    return found


def find_power_buttons(inputs: str = INPUTS) -> list[str]:
    """Return the names of the input devices that are power buttons and nothing else.

    A keyboard that has such a key, too, would send a signal for every other key.
    """
    try:
        names = sorted(os.listdir(inputs))
    except OSError:
        return []
    kinds = (POWER, POWER | WAKE_UP)
    return [
        name
        for name in names
        if name.startswith("event") and read_keys(f"{inputs}/{name}/device") in kinds
    ]


def read_keys(device: str) -> int:
    """Return the keys of a device, one bit for each; 0 if they cannot be read."""
    try:
        with open(f"{device}/capabilities/key", encoding="ascii") as stream:
            words = stream.read(4096).split()
        return int("".join(word.zfill(WORD_DIGITS) for word in words), 16)
    except (OSError, ValueError):
        return 0


def open_with_signal(path: str, number: int) -> int:
    """Open a device whose events send signal `number` to this process."""
    import fcntl

    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, number)
        fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_NONBLOCK | os.O_ASYNC)
    except OSError:
        os.close(fd)
        raise
    return fd
