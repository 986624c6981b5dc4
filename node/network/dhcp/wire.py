"""DHCP's datagrams on one link, through a packet socket: it works before the link has an address.

The kernel hands over only UDP to the client's port (a classic BPF program). Checksums of UDP are
not checked: on virtual links the kernel leaves them unfinished.
"""

import contextlib
import ctypes
import socket
import struct
from collections.abc import Iterator

CLIENT_PORT, SERVER_PORT = 68, 67
IP_HEADER = struct.Struct("!BBHHHBBH4s4s")
UDP_HEADER = struct.Struct("!HHHH")
ETHERTYPE_IP = 0x0800
EVERYONE = b"\xff" * 6
EVERYONE_ADDRESS = "255.255.255.255"
MOST_BYTES = 4096
SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>
SO_BINDTODEVICE = 25

# <linux/filter.h>: operation, jump if true, jump if false, value; offsets from the IP header.
TO_CLIENT = (
    (0x30, 0, 0, 9),  # the protocol
    (0x15, 0, 6, 17),  # is UDP
    (0x28, 0, 0, 6),  # fragment offset
    (0x45, 4, 0, 0x1FFF),  # is 0
    (0xB1, 0, 0, 0),  # skip the IP header
    (0x48, 0, 0, 2),  # the destination port
    (0x15, 0, 1, CLIENT_PORT),
    (0x06, 0, 0, 0xFFFF),  # take it
    (0x06, 0, 0, 0),  # drop it
)
NOTHING = ((0x06, 0, 0, 0),)


class Wire:
    """The open sockets of one link."""

    def __init__(self, link: str, packets: socket.socket, sink: socket.socket) -> None:
        self.link = link
        self.packets = packets
        self._sink = sink
        self.mac: bytes = packets.getsockname()[4]

    def send(self, message: bytes, source: str, target: str, mac: bytes = EVERYONE) -> None:
        """Send a message from `source` to the server `target`, or to everyone.

        Nothing is raised if the link is down: the message is lost then, as any other may be.
        """
        packet = wrap(message, source, target)
        with contextlib.suppress(OSError):
            self.packets.sendto(packet, (self.link, ETHERTYPE_IP, 0, 0, mac))

    def close(self) -> None:
        """Close the sockets."""
        self.packets.close()
        self._sink.close()


@contextlib.contextmanager
def open_wire(link: str) -> Iterator[Wire]:
    """Open the sockets of `link`, and close them in the end."""
    with contextlib.ExitStack() as stack:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
        packets = stack.enter_context(socket.socket(socket.AF_PACKET, kind, 0))
        attach_filter(packets, TO_CLIENT)
        packets.bind((link, ETHERTYPE_IP))
        # Without a socket on the port the kernel would answer a server with "port unreachable".
        sink = stack.enter_context(socket.socket(socket.AF_INET, kind))
        sink.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, link.encode() + b"\0")
        attach_filter(sink, NOTHING)
        sink.bind(("", CLIENT_PORT))
        yield Wire(link, packets, sink)


def attach_filter(sock: socket.socket, program: tuple[tuple[int, int, int, int], ...]) -> None:
    """Make the kernel run a classic BPF program on what arrives."""
    code = b"".join(struct.pack("HBBI", *line) for line in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    head = struct.pack("HP", len(program), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, head)


def wrap(message: bytes, source: str, target: str) -> bytes:
    """Return `message` with its UDP and IP headers."""
    addresses = socket.inet_aton(source), socket.inet_aton(target)
    size = UDP_HEADER.size + len(message)
    pseudo = b"".join(addresses) + struct.pack("!BBH", 0, socket.IPPROTO_UDP, size)
    bare = UDP_HEADER.pack(CLIENT_PORT, SERVER_PORT, size, 0)
    total = checksum(pseudo + bare + message) or 0xFFFF
    udp = UDP_HEADER.pack(CLIENT_PORT, SERVER_PORT, size, total)
    fields = [0x45, 0x10, IP_HEADER.size + size, 0, 0, 64, socket.IPPROTO_UDP]
    total = checksum(IP_HEADER.pack(*fields, 0, *addresses))
    return IP_HEADER.pack(*fields, total, *addresses) + udp + message


def unwrap(packet: bytes) -> bytes | None:
    """Return the DHCP message in an IP packet, or None if it holds none for a client."""
    if len(packet) < IP_HEADER.size or packet[0] >> 4 != 4:
        return None
    start = (packet[0] & 15) * 4
    end = int.from_bytes(packet[2:4], "big")
    if start < IP_HEADER.size or end > len(packet) or end < start + UDP_HEADER.size:
        return None
    source, target, size, _ = UDP_HEADER.unpack(packet[start : start + UDP_HEADER.size])
    if packet[9] != socket.IPPROTO_UDP or target != CLIENT_PORT or source != SERVER_PORT:
        return None
    if not UDP_HEADER.size <= size <= end - start:
        return None
    return packet[start + UDP_HEADER.size : start + size]


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
