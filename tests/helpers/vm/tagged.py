"""A switch port in a tagged VLAN: the machine's frames carry the tag, the network's don't."""

import contextlib
import socket
import threading
from collections.abc import Callable

from qemu.model import Switch
from qemu.switch import HEADER_BYTES, READ_BYTES, Port

TYPE_AT = HEADER_BYTES + 12  # after length, receiver and sender
PROTOCOL = b"\x81\x00"


class Tagged:
    """`plug` gives a machine a cable to `network`; frames without the tag get nowhere."""

    def __init__(self, network: Switch, vlan: int) -> None:
        self.network = network
        self.tag = PROTOCOL + vlan.to_bytes(2, "big")

    def plug(self) -> socket.socket:
        """Return the machine's end of a new cable, which the caller closes."""
        theirs, ours = socket.socketpair()
        cable = self.network.plug()
        for source, sink, change in ((ours, cable, self.strip), (cable, ours, self.add)):
            threading.Thread(target=relay, args=(source, sink, change), daemon=True).start()
        return theirs

    def strip(self, frame: bytes) -> bytes:
        """Return a machine's frame without the tag, or nothing if it has another or none."""
        if frame[TYPE_AT : TYPE_AT + 4] != self.tag:
            return b""
        return measure(frame[HEADER_BYTES:TYPE_AT] + frame[TYPE_AT + 4 :])

    def add(self, frame: bytes) -> bytes:
        """Return a frame to the machine with the tag."""
        return measure(frame[HEADER_BYTES:TYPE_AT] + self.tag + frame[TYPE_AT:])


def measure(frame: bytes) -> bytes:
    """Return a frame with its length before it."""
    return len(frame).to_bytes(HEADER_BYTES, "big") + frame


def relay(source: socket.socket, sink: socket.socket, change: Callable[[bytes], bytes]) -> None:
    """Copy frames until either end closes."""
    port = Port(source, is_router=False)
    with contextlib.suppress(OSError), source:
        while data := source.recv(READ_BYTES):
            for frame in port.frames(data):
                sink.sendall(change(frame))
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)
