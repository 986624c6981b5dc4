"""Thousands of slow, idle and half-open clients: a good client is served, and memory is bounded."""

import contextlib
import socket
import ssl
from pathlib import Path

import pytest

from tests.helpers.flist.servers import make_certificate
from tests.helpers.serving.checks import CLIENTS, PATIENT, check_crowd, check_good_client
from tests.helpers.serving.crowd import crowd, raise_file_limit
from tests.helpers.serving.process import ANSWER_S, Running, run_tiny
from tests.helpers.waiting import wait_until

pytestmark = pytest.mark.timeout(600)
LARGE_BYTES = 200_000_000
TLS_CLIENTS = 400


@pytest.fixture(autouse=True)
def large(tmp_path: Path) -> None:
    """Make the file that slow clients ask for."""
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(LARGE_BYTES)


def is_empty(server: Running) -> bool:
    """Return whether no connection is open but the one that asks."""
    return server.metric("zos_http_open_connections") <= 1


@pytest.mark.parametrize(
    ("max_connections", "target"), [(6000, "/file/large"), (1000, "/hot/large")]
)
def test_five_thousand_slow_clients(tmp_path: Path, max_connections: int, target: str) -> None:
    words = ["--max-connections", str(max_connections), "--log-level", "warning", *PATIENT]
    with run_tiny(tmp_path, *words) as server:
        check_crowd(server, target, "/number/7", max_connections)
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


def test_tls_clients_are_bounded_too(tmp_path: Path) -> None:
    """Clients that send no TLS, or none at all; and clients that read nothing over TLS."""
    site = make_certificate(tmp_path / "tls")
    words: list[str | Path] = ["--tls-cert", site.site, "--tls-key", site.key]
    words += ["--log-level", "warning", "--header-timeout", "2"]
    context = ssl.create_default_context(cafile=str(site.authority))
    raise_file_limit(4 * TLS_CLIENTS + 1000)
    with run_tiny(tmp_path, *words, authority=site.authority) as server:
        before = server.rss_bytes()
        with contextlib.ExitStack() as stack:
            stack.enter_context(crowd(server.address, TLS_CLIENTS, "/file/large"))
            for _ in range(TLS_CLIENTS):
                sock = socket.create_connection(server.address, ANSWER_S)
                stream = stack.enter_context(context.wrap_socket(sock, server_hostname="127.0.0.1"))
                stream.sendall(b"GET /file/large HTTP/1.1\r\nHost: x\r\n\r\n")
            check_good_client(server, "/health")
            assert server.rss_bytes() - before < TLS_CLIENTS * 300_000
            wanted = TLS_CLIENTS + 1
            wait_until(
                lambda: server.metric("zos_http_open_connections") <= wanted,
                "the end of all handshakes",
            )
        assert server.lines() == []  # a failed handshake is no warning
