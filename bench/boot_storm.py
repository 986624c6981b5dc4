"""Nodes that boot at once, as a bootstrap server sees them: `python -m bench.boot_storm URL ...`.

Each node asks for what its script would, one after the other, each on a connection of its own as
iPXE does: the boot script, the channel's release, kernel and initramfs. Bodies are counted and
dropped in the kernel (MSG_TRUNC), so that the clients cost the machine little beside the server.
"""

import argparse
import asyncio
import json
import re
import socket
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.helpers.serving.crowd import raise_file_limit

READ_BYTES = 1 << 20
HEAD_MAX_BYTES = 1 << 14
STALL_S = 30.0  # of the scripts, too
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
RELEASE = re.compile(rb"set release (\S+)")


@dataclass
class Storm:
    """What happened: the seconds of every boot and of every request by its kind, and failures."""

    host: str
    port: int
    has_log: bool
    buffer: bytearray = field(default_factory=lambda: bytearray(READ_BYTES))
    boots: list[float] = field(default_factory=list)
    requests: dict[str, list[float]] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    received: int = 0

    async def boot(self, number: int, at_s: float) -> None:
        """Boot one node after `at_s` seconds."""
        await asyncio.sleep(at_s)
        began = time.perf_counter()
        try:
            await self.load(number)
        except (OSError, ValueError, TimeoutError) as error:
            self.failures[f"{type(error).__name__}: {error}"] += 1
        else:
            self.boots.append(time.perf_counter() - began)

    async def load(self, number: int) -> None:
        """Ask for everything that a node loads."""
        who = f"uuid=00000000-0000-4000-8000-{number:012x}&mac=52:54:00:{number >> 16:02x}:"
        who += (
            f"{number >> 8 & 255:02x}:{number & 255:02x}&serial=&farm={1 + number % 100}&mode=dev"
        )
        await self.ask("script", f"/ipxe/dev/{1 + number % 100}")
        await self.report("script", who)
        found = RELEASE.search(await self.ask("release", "/kernel/dev/release.ipxe"))
        if not found:
            raise ValueError("no release is named")
        at = f"/kernel/dev/{found[1].decode()}"
        await self.ask("kernel", f"{at}/vmlinuz")
        await self.report("kernel", who)
        await self.ask("initramfs", f"{at}/initramfs.zst")
        await self.report("initramfs", who)

    async def report(self, stage: str, who: str) -> None:
        """Report a stage to the boot log, if the server has one."""
        if self.has_log:
            await self.ask("boot log", f"/boot/{stage}?{who}")

    async def ask(self, kind: str, path: str) -> bytes:
        """Send a request, and return the body, or its first part. Raises what goes wrong."""
        began = time.perf_counter()
        loop = asyncio.get_running_loop()
        with socket.socket() as sock:
            sock.setblocking(False)
            async with asyncio.timeout(STALL_S):
                await loop.sock_connect(sock, (self.host, self.port))
                head = f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\nConnection: close\r\n\r\n"
                await loop.sock_sendall(sock, head.encode())
            body = await self.take(sock)
        self.requests.setdefault(kind, []).append(time.perf_counter() - began)
        return body

    async def take(self, sock: socket.socket) -> bytes:
        """Receive a response, and return its body, or only the first part of a long one."""
        loop = asyncio.get_running_loop()
        data = b""
        while b"\r\n\r\n" not in data:
            async with asyncio.timeout(STALL_S):
                piece = await loop.sock_recv(sock, HEAD_MAX_BYTES)
            if not piece:
                raise ValueError("the connection was closed in the head")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        status, length = head[9:12].decode(), LENGTH.search(head + b"\r\n")
        if status != "200" or not length:
            raise ValueError(f"status {status}")
        left = int(length[1]) - len(body)
        dropped = socket.MSG_TRUNC if left > HEAD_MAX_BYTES else 0
        while left > 0:
            try:
                count = sock.recv_into(self.buffer, min(left, READ_BYTES), dropped)
            except BlockingIOError:
                await wait_readable(sock)
                continue
            if not count:
                raise ValueError("the connection was closed in the body")
            left -= count
            body += b"" if dropped else self.buffer[:count]
            await asyncio.sleep(0)
        self.received += int(length[1])
        return body


def fetch(url: str, least_bytes: int) -> int:
    """Ask for an address on one connection until that many bytes came; return their number."""
    place = urlsplit(url)
    buffer, received = bytearray(READ_BYTES), 0
    text = f"GET {place.path} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n"
    with socket.create_connection((place.hostname, place.port), STALL_S) as sock:
        while received < least_bytes:
            sock.sendall(text.encode())
            data = b""
            while b"\r\n\r\n" not in data:
                data += sock.recv(HEAD_MAX_BYTES)
            head, _, body = data.partition(b"\r\n\r\n")
            length = LENGTH.search(head + b"\r\n")
            assert head[9:12] == b"200" and length, head
            received += int(length[1])
            left = int(length[1]) - len(body)
            while left > 0:
                left -= sock.recv_into(buffer, min(left, READ_BYTES), socket.MSG_TRUNC)
    return received


async def wait_readable(sock: socket.socket) -> None:
    """Wait until a socket has data. Raises `TimeoutError`."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(sock, ready.set)
    try:
        async with asyncio.timeout(STALL_S):
            await ready.wait()
    finally:
        loop.remove_reader(sock)


async def run(storm: Storm, nodes: int, over_s: float) -> None:
    """Boot `nodes` nodes, which start evenly over some seconds."""
    starts = [asyncio.create_task(storm.boot(n, n * over_s / nodes)) for n in range(nodes)]
    await asyncio.gather(*starts)


def main() -> int:
    """Boot, and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--over", type=float, default=60.0)
    parser.add_argument("--log", action="store_true")
    args = parser.parse_args()
    raise_file_limit(args.nodes + 100)
    place = urlsplit(args.url)
    storm = Storm(place.hostname or "", place.port or 80, args.log)
    began = time.perf_counter()
    asyncio.run(run(storm, args.nodes, args.over))
    told = {"boots": storm.boots, "requests": storm.requests, "failures": dict(storm.failures)}
    print(json.dumps({**told, "bytes": storm.received, "seconds": time.perf_counter() - began}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
