"""Posts bodies on connections that are kept, and takes the time of each."""

import asyncio
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

CONNECTIONS = 64
ANSWER_S = 60.0
Post = tuple[str, str, bytes]
"""Method, path and body."""


@dataclass
class Sent:
    """What came of the requests: times in seconds, and the answers in the order of the requests."""

    total_s: float = 0.0
    times: list[float] = field(default_factory=list)
    answers: dict[int, Any] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def send(address: tuple[str, int], posts: Sequence[Post]) -> Sent:
    """Send all requests, each connection the next one that nobody has sent."""
    sent = Sent()
    began = time.perf_counter()
    asyncio.run(send_all(address, posts, sent))
    sent.total_s = time.perf_counter() - began
    return sent


async def send_all(address: tuple[str, int], posts: Sequence[Post], sent: Sent) -> None:
    """Send on all connections."""
    left = iter(enumerate(posts))
    count = min(CONNECTIONS, len(posts))
    await asyncio.gather(*(send_some(address, left, sent) for _ in range(count)))


async def send_some(address: tuple[str, int], left: Iterator[tuple[int, Post]], sent: Sent) -> None:
    """Send requests one after another on one connection."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for number, post in left:
            began = time.perf_counter()
            writer.write(make_head(*post))
            async with asyncio.timeout(ANSWER_S):
                status, body = await read_answer(reader)
            sent.times.append(time.perf_counter() - began)
            if status == 200:
                sent.answers[number] = json.loads(body)
            else:
                sent.failures.append(f"{status}: {body[:200]!r}")
    finally:
        writer.close()


def make_head(method: str, path: str, body: bytes) -> bytes:
    """Return a request."""
    head = f"{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Return status and body of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    return int(head[0].split()[1]), await reader.readexactly(find_length(head))


def find_length(head: Iterable[bytes]) -> int:
    """Return the length of a body."""
    for line in head:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
