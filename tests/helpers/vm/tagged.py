"""A switch port with a VLAN: frames to the machine get a tag, and only tagged ones leave it."""

import contextlib
import socket
import threading

from qemu.model import Switch
from qemu.switch import HEADER_BYTES, READ_BYTES, Port

VLAN_TYPE = b"\x81\x00"  # IEEE 802.1Q
MACS_BYTES = 12
TAG_BYTES = 4


class TaggedPort:
    """Connects one machine with `network`, in the VLAN `vlan`."""

    def __init__(self, network: Switch, vlan: int) -> None:
        self.network = network
        self.tag = VLAN_TYPE + vlan.to_bytes(2, "big")

    def plug(self) -> socket.socket:
        """Return the machine's end of a new cable, which the caller closes."""
        inner = self.network.plug()
        ours, theirs = socket.socketpair()
        for source, target, change in ((inner, ours, self.add_tag), (ours, inner, self.take_tag)):
            words = (source, target, change)
            threading.Thread(target=relay, args=words, name="tagged port", daemon=True).start()
        return theirs

    def add_tag(self, frame: bytes) -> bytes:
        """Return a frame with the tag."""
        return frame[:MACS_BYTES] + self.tag + frame[MACS_BYTES:]

    def take_tag(self, frame: bytes) -> bytes:
        """Return a frame without its tag; nothing if it has another one or none."""
        end = MACS_BYTES + TAG_BYTES
        return frame[:MACS_BYTES] + frame[end:] if frame[MACS_BYTES:end] == self.tag else b""


def relay(source: socket.socket, target: socket.socket, change: object) -> None:
    """Pass frames on until one of the two ends; then close both."""
    assert callable(change)
    port = Port(source, is_router=False)
    with contextlib.suppress(OSError):
        while data := source.recv(READ_BYTES):
            for frame in port.frames(data):
                if changed := change(frame[HEADER_BYTES:]):
                    target.sendall(len(changed).to_bytes(HEADER_BYTES, "big") + changed)
    for link in (source, target):
        with contextlib.suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)
            link.close()
