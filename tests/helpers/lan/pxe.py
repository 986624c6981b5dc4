"""A network boot client for tests: asks as a firmware does, and prints each answer as JSON.

    python -m tests.helpers.lan.pxe LINK ARCHITECTURE VENDOR_CLASS [USER_CLASS]

It sends DHCPDISCOVERs until there are offers, and a DHCPREQUEST to the proxy on port 4011 if one
offers no file; a BIOS then asks for the first item of the menu (PXE specification 2.1, 2.2.4).
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
OWN = "10.9.0.77"  # as if a lease had been taken
TRIES = 8
LISTEN_S = 1.0
MENU, ITEM = 9, 71  # of PXE's own options, in option 43
DISCOVER, REQUEST = 1, 3
ASKED = bytes([1, 3, 6, 43, 54, 60, 66, 67])


def main() -> None:
    """Ask, and print what is answered."""
    link, architecture, vendor, *user = sys.argv[1:]
    ask = Asker(link, int(architecture), vendor, user[0] if user else "")
    answers = ask.discover()
    for answer in list(answers):
        menu = answer.pop("menu")
        if answer["vendor"] == "PXEClient" and not answer["file"]:
            answers += ask.request(answer["server"], menu)
    print(json.dumps(answers))


class Asker:
    """The client on one link."""

    def __init__(self, link: str, architecture: int, vendor: str, user: str) -> None:
        self.architecture, self.vendor, self.user = architecture, vendor, user
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, link.encode() + b"\0")
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.sock.bind(("", 68))

    def message(self, kind: int, menu: str = "") -> bytes:
        """Return a message to servers; it asks for a broadcast."""
        head = struct.pack("!BBBB4sHH", 1, 1, 6, 0, os.urandom(4), 0, 0x8000)
        own = socket.inet_aton(OWN) if kind == REQUEST else bytes(4)
        body = head + own + bytes(12) + b"\x52\x54\x00\xaa\x00\x09" + bytes(10 + 192) + COOKIE
        options = {53: bytes([kind]), 60: self.vendor.encode(), 55: ASKED, 97: bytes(17)}
        options[93] = struct.pack("!H", self.architecture)
        if menu:
            options[43] = bytes([ITEM, 4]) + bytes.fromhex(menu)[:2] + bytes(2)
        if self.user:
            options[77] = self.user.encode()
        rows = (bytes([code, len(value)]) + value for code, value in options.items())
        return (body + b"".join(rows) + b"\xff").ljust(300, b"\0")

    def discover(self) -> list[dict[str, Any]]:
        """Return the offers: those of the first second in which there are any."""
        found: list[dict[str, Any]] = []
        for _ in range(TRIES):
            found = found or self.send(self.message(DISCOVER), ("255.255.255.255", 67))
        return found

    def request(self, server: str, menu: str) -> list[dict[str, Any]]:
        """Return the answers of a proxy's boot server."""
        return self.send(self.message(REQUEST, menu), (server, 4011))

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
    options = read_options(data[240:])
    file = options.get(67, b"") or data[108:236]
    return {
        "server": socket.inet_ntoa(options.get(54, bytes(4))),
        "address": socket.inet_ntoa(data[16:20]),
        "next": socket.inet_ntoa(data[20:24]),
        "file": file.rstrip(b"\0").decode(),
        "vendor": options.get(60, b"").decode(),
        "router": options.get(3, b"").hex(),
        "dns": options.get(6, b"").hex(),
        "menu": read_options(options.get(43, b"")).get(MENU, b"").hex(),
    }


def read_options(data: bytes) -> dict[int, bytes]:
    """Return options by number."""
    found, at = {}, 0
    while at < len(data) and data[at] != 255:
        if data[at]:
            found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
            at += 1 + data[at + 1]
        at += 1
    return found


if __name__ == "__main__":
    main()
