"""A network boot client for tests: asks as a firmware does, and prints each answer as JSON.

    python -m tests.helpers.lan.pxe LINK ARCHITECTURE VENDOR_CLASS [USER_CLASS]

It sends a DHCPDISCOVER, and after a second of offers a DHCPREQUEST to the proxy on port 4011 if
one offers no file.
"""

import json
import os
import socket
import struct
import sys
import time
from typing import Any

COOKIE = b"\x63\x82\x53\x63"
SO_BINDTODEVICE = 25
LISTEN_S = 1.5
DISCOVER, REQUEST = 1, 3
ASKED = bytes([1, 3, 6, 43, 54, 60, 66, 67])


def main() -> None:
    """Ask, and print what is answered."""
    link, architecture, vendor, *user = sys.argv[1:]
    ask = Asker(link, int(architecture), vendor, user[0] if user else "")
    answers = ask.discover()
    for answer in list(answers):
        if answer["vendor"] == "PXEClient" and not answer["file"]:
            answers += ask.request(answer["server"])
    print(json.dumps(answers))


class Asker:
    """The client on one link."""

    def __init__(self, link: str, architecture: int, vendor: str, user: str) -> None:
        self.architecture, self.vendor, self.user = architecture, vendor, user
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, link.encode() + b"\0")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.sock.bind(("", 68))

    def message(self, kind: int) -> bytes:
        """Return a message to servers; it asks for a broadcast."""
        head = struct.pack("!BBBB4sHH", 1, 1, 6, 0, os.urandom(4), 0, 0x8000)
        body = head + bytes(16) + b"\x52\x54\x00\xaa\x00\x09" + bytes(10 + 192) + COOKIE
        options = {53: bytes([kind]), 60: self.vendor.encode(), 55: ASKED, 97: bytes(17)}
        options[93] = struct.pack("!H", self.architecture)
        if self.user:
            options[77] = self.user.encode()
        rows = (bytes([code, len(value)]) + value for code, value in options.items())
        return (body + b"".join(rows) + b"\xff").ljust(300, b"\0")

    def discover(self) -> list[dict[str, Any]]:
        """Return the offers."""
        return self.send(self.message(DISCOVER), ("255.255.255.255", 67))

    def request(self, server: str) -> list[dict[str, Any]]:
        """Return the answers of a proxy's boot server."""
        return self.send(self.message(REQUEST), (server, 4011))

    def send(self, message: bytes, target: tuple[str, int]) -> list[dict[str, Any]]:
        """Send a message; return what is answered within `LISTEN_S`."""
        self.sock.sendto(message, target)
        answers, deadline = [], time.monotonic() + LISTEN_S
        while (left := deadline - time.monotonic()) > 0:
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(4096)
            except TimeoutError:
                break
            if data[4:8] == message[4:8]:
                answers.append(read_answer(data))
        return answers


def read_answer(data: bytes) -> dict[str, Any]:
    """Return what matters of an answer."""
    options, at = {}, 240
    while at < len(data) and data[at] != 255:
        if data[at]:
            options[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
            at += 1 + data[at + 1]
        at += 1
    file = options.get(67, b"") or data[108:236]
    return {
        "server": socket.inet_ntoa(options.get(54, bytes(4))),
        "address": socket.inet_ntoa(data[16:20]),
        "next": socket.inet_ntoa(data[20:24]),
        "file": file.rstrip(b"\0").decode(),
        "vendor": options.get(60, b"").decode(),
        "router": options.get(3, b"").hex(),
        "dns": options.get(6, b"").hex(),
    }


if __name__ == "__main__":
    main()
