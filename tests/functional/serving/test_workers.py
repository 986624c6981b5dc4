"""Several workers: real processes, signals, and deaths under load."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import urllib3

from tests.helpers.serving.checks import check_stop_under_download, is_refused, start_download
from tests.helpers.serving.process import ANSWER_S, TINY, Running, run_tiny
from tests.helpers.tcp import read_all
from tests.helpers.waiting import wait_until

WORKERS = 3
COUNT = 'zos_http_requests_total{method="GET",route="/number/{value}",status="200"}'


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Running]:
    with run_tiny(tmp_path, "--workers", str(WORKERS)) as running:
        wait_until(lambda: len(workers(running)) == WORKERS, "the workers")
        yield running


def workers(server: Running) -> list[int]:
    """Return the processes of the workers."""
    children = psutil.Process(server.process.pid).children()
    return [p.pid for p in children if p.status() != psutil.STATUS_ZOMBIE]


@contextlib.contextmanager
def load(server: Running) -> Iterator[Callable[[], tuple[int, int]]]:
    """Ask all the time; give a function that says how often that went well, and how often not."""
    is_over = threading.Event()
    told = [0, 0]

    def ask() -> None:
        while not is_over.is_set():
            try:
                is_good = server.ask("/number/1").status == 200
            except urllib3.exceptions.HTTPError:
                is_good = False
            told[0 if is_good else 1] += 1

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield lambda: (told[0], told[1])
    finally:
        is_over.set()
        for thread in threads:
            thread.join(ANSWER_S)


def test_a_worker_that_is_killed_under_load_is_replaced(server: Running) -> None:
    first = set(workers(server))
    with load(server) as count:
        wait_until(lambda: count()[0] > 50, "answers")
        for victim in sorted(first)[:2]:
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: server.find_lines(pid=victim), "its line")  # type: ignore[misc]
            wait_until(lambda: len(workers(server)) == WORKERS, "another one")
        good, _ = count()
        wait_until(lambda: count()[0] > good + 50, "further answers")
        good, bad = count()
    assert bad <= 2 * 4  # what each of the clients had asked the victims
    assert len(first & set(workers(server))) == 1
    assert len(server.find_lines(event="worker restarted")) == 2
    # A second's count of each victim may be lost.
    wait_until(lambda: server.metric(COUNT) > good // 2, "the sum")
    assert server.stop() == 0


def test_every_worker_serves_and_the_metrics_are_sums(server: Running) -> None:
    seen: set[int] = set()

    def ask() -> bool:
        with contextlib.ExitStack() as stack:
            socks = [
                stack.enter_context(socket.create_connection(server.address, ANSWER_S))
                for _ in range(20)
            ]
            for sock in socks:
                sock.sendall(b"GET /number/1 HTTP/1.1\r\nHost: x\r\n\r\n")
            for sock in socks:
                assert sock.recv(100).startswith(b"HTTP/1.1 200 ")
            ports = {sock.getsockname()[1] for sock in socks}
            for pid in workers(server):
                found = psutil.Process(pid).net_connections()
                if ports & {c.raddr.port for c in found if c.raddr}:
                    seen.add(pid)
        ask.count += 20  # type: ignore[attr-defined]
        return len(seen) == WORKERS

    ask.count = 0  # type: ignore[attr-defined]
    wait_until(ask, "an answer of each worker")
    wait_until(lambda: server.metric(COUNT) == ask.count, "the sum")  # type: ignore[attr-defined]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_is_one_signal(
    server: Running, tmp_path: Path, number: signal.Signals
) -> None:
    """A terminal and a supervisor signal every process; downloads still finish."""
    content = os.urandom(30_000_000)
    (tmp_path / "large").write_bytes(content)
    everyone = [*workers(server), server.process.pid]
    sock, data = start_download(server, "/hot/large")
    with sock:
        for pid in everyone:
            os.kill(pid, number)
        wait_until(lambda: is_refused(server), "the listener's end")
        data += read_all(sock)
    assert data.endswith(content)
    assert server.process.wait(ANSWER_S) == 0
    assert not any(psutil.pid_exists(pid) for pid in everyone)
    assert len(server.find_lines(event="stopped", cut_off=0)) >= WORKERS


def test_a_download_completes_while_the_server_stops(server: Running, tmp_path: Path) -> None:
    data = os.urandom(30_000_000)
    (tmp_path / "large").write_bytes(data)
    check_stop_under_download(server, "/hot/large", hashlib.sha256(data).hexdigest())


def test_a_second_signal_ends_transfers(server: Running, tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as stream:
        stream.truncate(1 << 30)
    with socket.create_connection(server.address, ANSWER_S) as sock:
        sock.sendall(b"GET /hot/large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(100)
        server.process.terminate()
        wait_until(lambda: server.find_lines(event="stopping"), "the stop")
        assert server.process.poll() is None
        assert server.stop() == 0


def test_workers_end_with_their_parent(server: Running) -> None:
    pids = workers(server)
    server.process.kill()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), "the workers' end")


def test_a_worker_that_is_told_to_stop_is_replaced(server: Running) -> None:
    first = workers(server)
    os.kill(first[0], signal.SIGTERM)
    wait_until(lambda: first[0] not in workers(server), "its end")
    wait_until(lambda: len(workers(server)) == WORKERS, "another one")
    assert server.stop() == 0


def test_a_server_whose_workers_cannot_start_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        [*TINY, "--folder", str(tmp_path), "--workers", "2", "--fails", "yes"],
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
    )
    assert done.returncode == 1
    assert "cannot start the server" in done.stderr


def test_what_only_one_process_can_serve_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [*TINY, "--folder", str(tmp_path), "--workers", "2", "--is-alone", "yes"],
        capture_output=True,
        text=True,
        timeout=ANSWER_S,
    )
    assert done.returncode == 2
    assert "cannot serve with 2 workers: it is told so" in done.stderr
