"""Thousands of slow, idle and half-open clients: a good client is served, and memory is bounded."""

from pathlib import Path

import pytest

from tests.helpers.serving.checks import CLIENTS, check_crowd
from tests.helpers.serving.crowd import crowd
from tests.helpers.serving.process import Running, run_tiny
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(600)
LARGE_BYTES = 200_000_000


@pytest.fixture(autouse=True)
def large(tmp_path: Path) -> None:
    """Make the file that slow clients ask for."""
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(LARGE_BYTES)


def is_empty(server: Running) -> bool:
    """Return whether no connection is open but the one that asks."""
    return server.metric("zos_http_open_connections") <= 1


@pytest.mark.parametrize("max_connections", [6000, 1000])
def test_five_thousand_slow_clients(tmp_path: Path, max_connections: int) -> None:
    words = ["--max-connections", str(max_connections), "--log-level", "warning"]
    with run_tiny(tmp_path, *words) as server:
        check_crowd(server, "/file/large", "/number/7", max_connections)
        if max_connections < CLIENTS:
            assert server.metric('zos_http_rejected_total{reason="evicted"}') > 1000


def test_slow_clients_are_closed_in_time(tmp_path: Path) -> None:
    limits = ("header", "idle", "body", "write")
    words = [word for name in limits for word in (f"--{name}-timeout", "2")]
    with run_tiny(tmp_path, *words) as server, crowd(server.address, 400, "/file/large"):
        wait_until(lambda: is_empty(server), "the end of all slow connections")
        for name in limits:
            assert server.metric(f'zos_http_rejected_total{{reason="{name}_timeout"}}') > 10, name
        assert server.metric("zos_http_buffered_bytes") == 0
        assert server.metric("zos_http_transfers_in_flight") == 1
        assert server.file_count() < 40
