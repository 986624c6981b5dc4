"""Nodes that fetch a flist and its blocks at once: `python -m bench.hub_nodes HOST PORT LIST`.

`LIST` has a path in each line. Each node asks for them one after the other, on one connection.
Bodies are counted and dropped in the kernel (MSG_TRUNC). One JSON object is printed.
"""

import argparse
import asyncio
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench.boot_storm import HEAD_MAX_BYTES, LENGTH, READ_BYTES, wait_readable
from tests.helpers.serving.crowd import raise_file_limit

CONNECT_S = 60.0


class Nodes:
    """What happened to all nodes of this process."""

    def __init__(self, address: tuple[str, int], paths: Sequence[str]) -> None:
        self.address = address
        self.paths = paths
        self.buffer = bytearray(READ_BYTES)
        self.nodes: list[float] = []
        self.requests: list[float] = []
        self.failures: Counter[str] = Counter()
        self.received = 0

    async def run(self, count: int) -> None:
        """Let `count` nodes fetch everything."""
        await asyncio.gather(*(self.fetch_all(number) for number in range(count)))

    async def fetch_all(self, number: int) -> None:
        """Fetch the flist first and then the blocks, beginning with another one on each node."""
        began = time.perf_counter()
        flist, *blocks = self.paths
        at = number % max(1, len(blocks))
        loop = asyncio.get_running_loop()
        try:
            with socket.socket() as sock:
                sock.setblocking(False)
                async with asyncio.timeout(CONNECT_S):
                    await loop.sock_connect(sock, self.address)
                for path in (flist, *blocks[at:], *blocks[:at]):
                    asked = time.perf_counter()
                    await self.fetch(sock, path)
                    self.requests.append(time.perf_counter() - asked)
        except (OSError, ValueError, TimeoutError) as error:
            self.failures[f"{type(error).__name__}: {error}"] += 1
        else:
            self.nodes.append(time.perf_counter() - began)

    async def fetch(self, sock: socket.socket, path: str) -> None:
        """Ask for one path, and take the whole answer."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(sock, f"GET {path} HTTP/1.1\r\nHost: hub\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            piece = await loop.sock_recv(sock, HEAD_MAX_BYTES)
            if not piece:
                raise ValueError("the connection was closed in the head")
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        length = LENGTH.search(head + b"\r\n")
        if head[9:12] != b"200" or not length:
            raise ValueError(f"status {head[9:12]!r}")
        left = int(length[1]) - len(body)
        while left > 0:
            try:
                count = sock.recv_into(self.buffer, min(left, READ_BYTES), socket.MSG_TRUNC)
            except BlockingIOError:
                await wait_readable(sock)
                continue
            if not count:
                raise ValueError("the connection was closed in the body")
            left -= count
            await asyncio.sleep(0)
        self.received += int(length[1])


def main() -> int:
    """Fetch, and print what happened."""
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("list", type=Path)
    parser.add_argument("--nodes", type=int, default=500)
    args = parser.parse_args()
    raise_file_limit(args.nodes + 100)
    nodes = Nodes((args.host, args.port), args.list.read_text().split())
    asyncio.run(nodes.run(args.nodes))
    told = {"nodes": nodes.nodes, "requests": nodes.requests, "failures": dict(nodes.failures)}
    print(json.dumps({**told, "bytes": nodes.received}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
