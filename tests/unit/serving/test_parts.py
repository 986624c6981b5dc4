"""Rate limits, throttled logs, metrics, contents and pools."""

import asyncio
import hashlib
import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.content import FileOpener, Pieces
from serving.logs import QUEUE_LINES, REPEAT_S, QueuedSink, Sink, Throttle, make_logger
from serving.metrics import Metrics
from serving.pools import Pools
from serving.rates import TABLE_SIZE, RateLimit, group_address
from serving.settings import ServerSettings


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_fills_with_time() -> None:
    clock = Clock()
    limit = RateLimit(60, 3, clock)
    assert [limit.take("192.0.2.1") for _ in range(4)] == [0, 0, 0, 1.0]
    assert limit.take("192.0.2.2") == 0
    clock.now += 0.5
    assert limit.take("192.0.2.1") == 0.5
    clock.now += 0.5
    assert limit.take("192.0.2.1") == 0
    clock.now += 3600
    assert [limit.take("192.0.2.1") for _ in range(4)] == [0, 0, 0, 1.0]
    assert [RateLimit(0, 1, clock).take("x") for _ in range(9)] == [0.0] * 9


def test_the_table_of_buckets_is_bounded() -> None:
    limit = RateLimit(1, 1, Clock())
    for number in range(TABLE_SIZE + 100):
        limit.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(limit.buckets) == TABLE_SIZE


def test_an_ipv6_network_is_one_client() -> None:
    assert group_address("2001:db8::1") == group_address("2001:db8::ffff:1") == "2001:db8::/64"
    assert group_address("2001:db8:0:1::1") != group_address("2001:db8::1")
    assert group_address("::ffff:192.0.2.1") == "192.0.2.1"
    assert group_address("not an address") == "not an address"


def test_a_throttle_lets_one_event_through_and_counts_the_others() -> None:
    clock = Clock()
    throttle = Throttle(clock)
    assert [throttle.take("a") for _ in range(3)] == [0, None, None]
    assert throttle.take("b") == 0
    clock.now += REPEAT_S
    assert [throttle.take("a"), throttle.take("a")] == [2, None]


@given(st.text())
def test_any_text_is_one_json_line(text: str) -> None:
    stream = io.StringIO()
    make_logger("info", "json", Sink(stream)).info("event", text=text)
    (line,) = stream.getvalue().splitlines()
    assert list(json.loads(line)) == ["time", "level", "event", "text"]
    assert json.loads(line)["text"] == text


def test_a_log_has_a_level_and_survives_a_stream_that_is_gone() -> None:
    stream = io.StringIO()
    make_logger("warning", "auto", Sink(stream)).info("nothing")
    assert stream.getvalue() == ""
    stream.close()
    make_logger("info", "json", Sink(stream)).error("nobody reads this")


class StalledStream(io.StringIO):
    """A stream whose reader has stopped reading."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go_on = threading.Event()

    def write(self, text: str) -> int:
        assert self.may_go_on.wait(60)
        return super().write(text)


def test_a_log_whose_reader_stalls_holds_nobody_up() -> None:
    stream = StalledStream()
    with QueuedSink(stream) as sink:
        log = make_logger("info", "json", sink)
        for number in range(QUEUE_LINES + 100):
            log.info("event", number=number)
        assert 98 <= sink.dropped <= 100
        stream.may_go_on.set()
    sink.thread.join(60)
    written = stream.getvalue().splitlines()
    assert len(written) + sink.dropped == QUEUE_LINES + 100


def test_two_applications_have_metrics_of_their_own() -> None:
    one, other = Metrics(), Metrics()
    one.note("/a/{b}", "GET", 200, 0.1)
    one.note("/a/{c}", "GET", 404, 0.1)
    assert one.total(one.requests, "/a/") == 2
    assert one.total(one.requests, "/a/", status="200") == 1
    assert other.total(other.requests) == 0
    assert b"/a/{b}" not in other.render()


def test_pieces_are_one_content() -> None:
    data = bytes(range(100))
    pieces = Pieces([memoryview(data)[:10], memoryview(b""), memoryview(data)[10:]], '"x"')

    async def read_all(size: int) -> bytes:
        found = b""
        while len(found) < pieces.size:
            part = await pieces.read(len(found), size)
            assert 0 < len(part) <= size
            found += part
        return found

    for size in (1, 7, 10, 1000):
        assert asyncio.run(read_all(size)) == data


def test_a_file_that_shrinks_ends_with_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    opened = FileOpener().open(path)
    assert asyncio.run(opened.read(1, 2)) == b"23"
    path.write_bytes(b"1")
    with pytest.raises(OSError, match="became shorter"):
        asyncio.run(opened.read(1, 2))
    opened.close()


def test_a_file_is_hashed_once_and_does_not_hold_up_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("slow", "quick"):
        (tmp_path / name).write_bytes(name.encode())
    hashed: list[bytes] = []
    may_go_on = threading.Event()
    real = hashlib.file_digest

    def digest(stream: io.BufferedReader, name: str) -> object:
        hashed.append(stream.read())
        stream.seek(0)
        if hashed[-1] == b"slow":
            assert may_go_on.wait(60)
        return real(stream, name)

    monkeypatch.setattr(hashlib, "file_digest", digest)
    opener = FileOpener()
    with ThreadPoolExecutor(8) as pool:
        slow = [pool.submit(opener.open, tmp_path / "slow") for _ in range(6)]
        opener.open(tmp_path / "quick").close()  # while the other file is still being hashed
        may_go_on.set()
        opened = [future.result(60) for future in slow]
    assert len({file.etag for file in opened}) == 1
    assert hashed.count(b"slow") == 1
    for file in opened:
        file.close()


def test_passwords_do_not_hold_up_files() -> None:
    pools = Pools(ServerSettings())
    may_go_on = threading.Event()

    async def run() -> None:
        checks = [asyncio.create_task(pools.passwords.run(may_go_on.wait, 60)) for _ in range(300)]
        began = time.monotonic()
        assert await pools.hashing.run(lambda: 7) == 7
        assert time.monotonic() - began < 30
        assert pools.passwords.limiter.borrowed_tokens == 1
        may_go_on.set()
        assert all(await asyncio.gather(*checks))

    asyncio.run(run())
