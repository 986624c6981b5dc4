"""An Ethernet switch in a thread, whose cables are stream sockets with frames as QEMU sends them.

A frame is preceded by its length, as 4 bytes in network order (QEMU's `-netdev socket`). The
router, which is QEMU's user-mode network, would take every IP packet that it sees for its own, and
refuse connections between machines; so it gets only what is sent to it or to all.
"""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator

HEADER_BYTES = 4
FRAME_MAX_BYTES = 1 << 17
QUEUE_MAX_BYTES = 1 << 20  # what a machine that does not read misses then, as on a real cable
READ_BYTES = 1 << 16
ROUTER_MAC = b"\x52\x55"  # the first bytes of all addresses of QEMU's user-mode network
JOIN_S = 5.0


class Port:
    """One end of a cable: what has arrived in part, and what could not be sent yet."""

    def __init__(self, link: socket.socket, *, is_router: bool) -> None:
        self.link = link
        self.is_router = is_router
        self.arrived = bytearray()
        self.waiting = bytearray()

    def frames(self, data: bytes) -> Iterator[bytes]:
        """Add bytes that arrived; yield the frames that are complete, with their lengths."""
        self.arrived += data
        while len(self.arrived) >= HEADER_BYTES:
            size = HEADER_BYTES + int.from_bytes(self.arrived[:HEADER_BYTES], "big")
            if size > HEADER_BYTES + FRAME_MAX_BYTES:
                raise ConnectionError("a frame is too long")
            if len(self.arrived) < size:
                return
            yield bytes(self.arrived[:size])
            del self.arrived[:size]

    def wants(self, target: bytes) -> bool:
        """Return whether a frame to this address, whose place is unknown, is sent here."""
        return not self.is_router or bool(target[0] & 1) or target.startswith(ROUTER_MAC)


class Switch:
    """Forwards frames between its ports, from `start` until `close`."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._ours, self._theirs = socket.socketpair()
        self._new: list[Port] = []
        self._ports: list[Port] = []
        self._places: dict[bytes, Port] = {}
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="switch", daemon=True)

    def start(self) -> None:
        """Start forwarding."""
        self._selector.register(self._theirs, selectors.EVENT_READ)
        self._thread.start()

    def add(self, link: socket.socket, *, is_router: bool = False) -> None:
        """Plug in a cable; the switch closes it."""
        link.setblocking(False)
        with self._lock:
            self._new.append(Port(link, is_router=is_router))
        self._ours.send(b"!")

    def close(self) -> None:
        """Stop, and close all cables; safe to call twice."""
        with self._lock:
            is_first, self._is_closed = not self._is_closed, True
        if not is_first:
            return
        if self._thread.is_alive():
            self._ours.send(b"!")
            self._thread.join(JOIN_S)
        for port in [*self._ports, *self._new]:
            port.link.close()
        self._selector.close()
        self._ours.close()
        self._theirs.close()

    def _run(self) -> None:
        while not self._is_closed:
            for key, events in self._selector.select():
                if key.data is None:
                    self._take_new()
                    continue
                try:
                    self._serve(key.data, events)
                except OSError:
                    self._remove(key.data)

    def _take_new(self) -> None:
        self._theirs.recv(READ_BYTES)
        with self._lock:
            fresh, self._new = self._new, []
        for port in fresh:
            self._ports.append(port)
            self._selector.register(port.link, selectors.EVENT_READ, port)

    def _serve(self, port: Port, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush(port)
        if events & selectors.EVENT_READ:
            data = port.link.recv(READ_BYTES)
            if not data:
                raise ConnectionError("the machine has ended")
            for frame in port.frames(data):
                self._forward(port, frame)

    def _forward(self, source: Port, frame: bytes) -> None:
        target, sender = (frame[at : at + 6] for at in (HEADER_BYTES, HEADER_BYTES + 6))
        if len(sender) < 6:
            return
        self._places[sender] = source
        known = self._places.get(target)
        chosen = [known] if known else [port for port in self._ports if port.wants(target)]
        for port in chosen:
            if port is not source and len(port.waiting) + len(frame) <= QUEUE_MAX_BYTES:
                port.waiting += frame
                with contextlib.suppress(OSError):  # its own end is noticed when it is read
                    self._flush(port)

    def _flush(self, port: Port) -> None:
        """Send what a port takes now, and ask to be told when it takes more."""
        with contextlib.suppress(BlockingIOError):
            while port.waiting:
                del port.waiting[: port.link.send(port.waiting)]
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if port.waiting else 0)
        if self._selector.get_key(port.link).events != events:
            self._selector.modify(port.link, events, port)

    def _remove(self, port: Port) -> None:
        self._selector.unregister(port.link)
        port.link.close()
        self._ports.remove(port)
        self._places = {mac: place for mac, place in self._places.items() if place is not port}
