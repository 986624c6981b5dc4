"""Thousands of slow, idle and half-open clients: a good client is served, and memory is bounded."""

import statistics
import time
from pathlib import Path

import pytest

from tests.helpers.serving.crowd import crowd
from tests.helpers.serving.process import Running, run_tiny
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(600)
CLIENTS = 5000
LARGE_BYTES = 200_000_000
GOOD_REQUESTS = 20
GOOD_S = 1.0
GROWTH_BYTES = 200_000_000
SPARE_FILES = 64


def check_good_client(server: Running, path: str) -> float:
    """Return the median time of a few requests, each of which must be quick, in seconds."""
    times = []
    for _ in range(GOOD_REQUESTS):
        began = time.monotonic()
        assert server.ask(path).status == 200
        times.append(time.monotonic() - began)
    assert max(times) < GOOD_S, times
    return statistics.median(times)


def check_crowd(server: Running, large: str, good: str, max_connections: int) -> None:
    """Let 5,000 bad clients come, and check what a good one and the machine notice of them."""
    check_good_client(server, good)
    before = server.rss_bytes()
    with crowd(server.address, CLIENTS, large):
        wanted = min(CLIENTS, max_connections) * 0.8  # some are closed at once
        wait_until(lambda: server.metric("zos_http_open_connections") >= wanted, "the crowd")
        median_s = check_good_client(server, good)
        growth, files = server.rss_bytes() - before, server.file_count()
        print(f"{max_connections=}: {median_s * 1000:.1f} ms, {growth=:,} bytes, {files=}")
        assert growth < GROWTH_BYTES
        assert files <= 2 * max_connections + SPARE_FILES
        assert server.metric("zos_http_buffered_bytes") <= 64 << 20
    check_good_client(server, good)


def is_empty(server: Running) -> bool:
    """Return whether no connection is open but the one that asks."""
    return server.metric("zos_http_open_connections") <= 1


@pytest.mark.parametrize("max_connections", [6000, 1000])
def test_five_thousand_slow_clients(tmp_path: Path, max_connections: int) -> None:
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(LARGE_BYTES)
    words = ["--max-connections", str(max_connections), "--log-level", "warning"]
    with run_tiny(tmp_path, *words) as server:
        check_crowd(server, "/file/large", "/number/7", max_connections)
        if max_connections < CLIENTS:
            assert server.metric('zos_http_rejected_total{reason="evicted"}') > 1000


def test_the_slow_are_closed_in_time(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(LARGE_BYTES)
    limits = ("header", "idle", "body", "write")
    words = [word for name in limits for word in (f"--{name}-timeout", "2")]
    with run_tiny(tmp_path, *words) as server, crowd(server.address, 400, "/file/large"):
        wait_until(lambda: is_empty(server), "the end of all slow connections")
        for name in limits:
            assert server.metric(f'zos_http_rejected_total{{reason="{name}_timeout"}}') > 10, name
        assert server.metric("zos_http_buffered_bytes") == 0
        assert server.metric("zos_http_transfers_in_flight") == 1
        assert server.file_count() < 40
