"""A DHCP server for tests: obeys a plan, and logs each message that it gets as a line of JSON.

    python dhcpd.py LINK PLAN

PLAN is JSON: `options` (code -> hex), `answers` (the kind of message -> a list of answers, the last
one for ever: "offer", "ack", "nak", "silence" or "flood"), and `seconds` (the lease's time).
SIGUSR1 switches to silence and back.
"""

import json
import signal
import socket
import struct
import sys
from typing import Any

KINDS = {1: "discover", 3: "request", 7: "release"}
USUAL = {"discover": "offer", "request": "ack"}
TYPES = {"offer": 2, "ack": 5, "nak": 6}
COOKIE = b"\x63\x82\x53\x63"
FLOOD = 20000


class Server:
    """One server on one link."""

    def __init__(self, link: str, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.is_silent = False
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, 25, link.encode() + b"\0")  # SO_BINDTODEVICE
        self.sock.bind(("", 67))

    def serve(self) -> None:
        """Answer until the end."""
        print(json.dumps({"kind": "ready"}), flush=True)
        while True:
            data, sender = self.sock.recvfrom(4096)
            options = read_options(data)
            kind = KINDS.get(options.get(53, b"\0")[0], "other")
            wanted = list(options.get(55, b""))
            print(json.dumps({"kind": kind, "from": sender[0], "wanted": wanted}), flush=True)
            answer = "silence" if self.is_silent else self.choose(kind)
            if answer == "flood":
                for _ in range(FLOOD):
                    self.answer(data, "nak", b"\0\0\0\0")
                answer = USUAL.get(kind, "silence")
            if answer != "silence":
                self.answer(data, answer, data[4:8])

    def choose(self, kind: str) -> str:
        """Return the next answer of the plan for a message."""
        answers = self.plan.get("answers", {}).get(kind)
        if not answers:
            return USUAL.get(kind, "silence")
        return str(answers.pop(0) if len(answers) > 1 else answers[0])

    def answer(self, data: bytes, kind: str, xid: bytes) -> None:
        """Send one answer to everyone."""
        yours = socket.inet_aton("0.0.0.0" if kind == "nak" else "10.9.0.50")
        body = b"\x02\x01\x06\0" + xid + bytes(8) + yours + bytes(8) + data[28:44] + bytes(192)
        body += COOKIE + bytes([53, 1, TYPES[kind], 54, 4]) + socket.inet_aton("10.9.0.1")
        if kind != "nak":
            body += b"\x33\x04" + struct.pack("!I", self.plan.get("seconds", 3600))
            for code, text in self.plan.get("options", {}).items():
                value = bytes.fromhex(text)
                body += bytes([int(code), len(value)]) + value
        self.sock.sendto(body + b"\xff", ("255.255.255.255", 68))


def read_options(data: bytes) -> dict[int, bytes]:
    """Return the options of a client's message."""
    found, at = {}, 240
    while at < len(data) and data[at] != 255:
        if data[at]:
            found[data[at]] = data[at + 2 : at + 2 + data[at + 1]]
            at += 1 + data[at + 1]
        at += 1
    return found


def main() -> None:
    """Serve."""
    server = Server(sys.argv[1], json.loads(sys.argv[2]))

    def switch(*_: object) -> None:
        server.is_silent = not server.is_silent

    signal.signal(signal.SIGUSR1, switch)
    server.serve()


if __name__ == "__main__":
    main()
