"""A cable from a machine of the harness to a bridge in a network namespace.

The machine's end is a stream socket, as those of `qemu.network`; the other is a TAP device that a
thread opened inside the namespace, so QEMU itself stays outside.
"""

import contextlib
import ctypes
import fcntl
import functools
import os
import selectors
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tests.helpers.lan.lab import LanLab

TUNSETIFF = 0x400454CA  # <linux/if_tun.h>
IFF_TAP, IFF_NO_PI = 2, 0x1000
CLONE_NEWNET = 0x40000000
HEADER_BYTES = 4
MOST_BYTES = 1 << 16
POLL_S = 0.2
JOIN_S = 10
T = TypeVar("T")


class Bridge:
    """Gives machines cables to the bridge of a lab (`qemu.model.Switch`)."""

    def __init__(self, lab: LanLab) -> None:
        self.lab = lab
        self._stack = contextlib.ExitStack()
        self._count = 0

    def plug(self) -> socket.socket:
        """Return the machine's end of a new cable, which the caller closes."""
        name, self._count = f"tap{self._count}", self._count + 1
        tap = inside(self.lab.host, functools.partial(open_tap, name))
        self.lab.ip(self.lab.host, "link", "set", name, "master", self.lab.bridge, "up")
        ours, theirs = socket.socketpair()
        self._stack.enter_context(carrying(tap, ours))
        return theirs

    def close(self) -> None:
        """Unplug all cables."""
        self._stack.close()


@contextlib.contextmanager
def open_bridge(lab: LanLab) -> Iterator[Bridge]:
    """Yield cables to a lab's bridge."""
    bridge = Bridge(lab)
    try:
        yield bridge
    finally:
        bridge.close()


def inside(namespace: str, work: Callable[[], T]) -> T:
    """Return what `work` returns in a thread that has entered a network namespace."""

    def enter() -> T:
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{namespace}", "rb") as place:
            if libc.setns(place.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return work()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(enter).result()


def open_tap(name: str) -> int:
    """Return a new TAP device."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    except OSError:
        os.close(tap)
        raise
    return tap


@contextlib.contextmanager
def carrying(tap: int, link: socket.socket) -> Iterator[None]:
    """Carry frames between a TAP device and a socket while the block runs; close both then."""
    ended = threading.Event()

    def carry() -> None:
        waiting = bytearray()
        with selectors.DefaultSelector() as selector, contextlib.suppress(OSError):
            selector.register(tap, selectors.EVENT_READ)
            selector.register(link, selectors.EVENT_READ)
            while not ended.is_set():
                for key, _ in selector.select(POLL_S):
                    if key.fileobj is link:
                        data = link.recv(MOST_BYTES)
                        if not data:
                            return
                        waiting += data
                        send_frames(waiting, tap)
                    else:
                        frame = os.read(tap, MOST_BYTES)
                        link.sendall(len(frame).to_bytes(HEADER_BYTES, "big") + frame)

    thread = threading.Thread(target=carry, name="cable", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
        thread.join(JOIN_S)
        link.close()
        os.close(tap)


def send_frames(waiting: bytearray, tap: int) -> None:
    """Write the frames that are complete, and remove them from `waiting`."""
    while len(waiting) >= HEADER_BYTES:
        size = HEADER_BYTES + int.from_bytes(waiting[:HEADER_BYTES], "big")
        if len(waiting) < size:
            return
        with contextlib.suppress(OSError):  # the device is down, or the frame too long
            os.write(tap, waiting[HEADER_BYTES:size])
        del waiting[:size]
