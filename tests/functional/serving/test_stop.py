"""Stopping, TLS, and what a server says when it cannot start."""

import hashlib
import shutil
import signal
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.flist.servers import make_certificate
from tests.helpers.serving.checks import check_stop_under_download, is_refused, start_download
from tests.helpers.serving.process import ANSWER_S, TINY, Running, run_tiny
from tests.helpers.tcp import read_all
from tests.helpers.waiting import wait_until

SIZE = 60_000_000


@pytest.fixture(autouse=True)
def sha256(tmp_path: Path) -> str:
    """Make a large file, and return its digest."""
    data = bytes(range(251)) * (SIZE // 251)
    (tmp_path / "large").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def test_a_download_completes_while_the_server_stops(tmp_path: Path, sha256: str) -> None:
    with run_tiny(tmp_path) as server:
        check_stop_under_download(server, "/file/large", sha256)
        assert server.find_lines(event="stopped", cut_off=0)


@pytest.mark.parametrize("is_second_signal", [False, True])
def test_a_client_that_reads_nothing_does_not_hold_up_the_stop(
    tmp_path: Path, is_second_signal: bool
) -> None:
    limit = "600" if is_second_signal else "1"
    with run_tiny(tmp_path, "--stop-timeout", limit) as server:
        sock, _ = start_download(server, "/file/large")
        with sock:
            began = time.monotonic()
            server.process.send_signal(signal.SIGINT)
            wait_until(lambda: is_refused(server), "the listener's end")
            if is_second_signal:
                server.process.send_signal(signal.SIGINT)
            assert server.process.wait(ANSWER_S) == 0
            assert time.monotonic() - began < 30
        assert server.find_lines(event="stopped", cut_off=1)


def test_a_thread_that_is_stuck_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    with run_tiny(tmp_path, "--stop-timeout", "1") as server:
        with socket.create_connection(server.address, ANSWER_S) as sock:
            sock.sendall(b"GET /stuck HTTP/1.1\r\nHost: x\r\n\r\n")
            wait_until(lambda: server.metric("zos_http_transfers_in_flight") == 2, "the request")
            assert server.stop() == 0


def test_a_log_that_nobody_reads_holds_nobody_up(tmp_path: Path) -> None:
    call = [*TINY, "--folder", str(tmp_path), "--log-format", "json"]
    process = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        assert process.stdout
        server = Running(process.stdout.readline().strip(), process, tmp_path / "none")
        for _ in range(20):
            assert server.ask("/number/1").status == 200
            with socket.create_connection(server.address, ANSWER_S) as sock:
                sock.sendall(b"GET /number/2 HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
                sock.shutdown(socket.SHUT_WR)
                read_all(sock)
        assert server.stop() == 0


def test_a_stopping_server_is_not_ready_for_a_while(tmp_path: Path) -> None:
    with run_tiny(tmp_path, "--stop-delay", "600") as server:
        assert server.ask("/ready").status == 200
        server.process.terminate()
        wait_until(lambda: server.ask("/ready").status == 503, "a /ready that says no")
        assert "stopping" in server.ask("/ready").json()["reasons"]
        assert server.ask("/health").status == 200
        assert server.stop() == 0  # the second signal


def shown_certificate(server: Running) -> bytes:
    """Return the certificate that the server shows, DER."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with socket.create_connection(server.address, ANSWER_S) as sock:
        with context.wrap_socket(sock) as stream:
            found = stream.getpeercert(binary_form=True)
    assert found
    return found


def test_tls_from_files_that_are_replaced(tmp_path: Path, sha256: str) -> None:
    first, second = (make_certificate(tmp_path / name) for name in ("first", "second"))
    words: list[str | Path] = [
        "--tls-cert",
        first.site,
        "--tls-key",
        first.key,
        "--header-timeout",
        "2",
    ]
    with run_tiny(tmp_path, *words, authority=first.authority) as server:
        assert server.url.startswith("https://")
        assert hashlib.sha256(server.ask("/file/large").data).hexdigest() == sha256
        before = shown_certificate(server)
        shutil.copyfile(second.site, first.site)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.find_lines(event="cannot reload TLS files"), "a refusal")
        assert shown_certificate(server) == before
        shutil.copyfile(second.key, first.key)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: server.find_lines(event="reloaded TLS files"), "the reload")
        assert shown_certificate(server) != before
        with socket.create_connection(server.address, ANSWER_S) as silent:  # no handshake
            assert silent.recv(1) == b""
        assert server.stop() == 0


@pytest.mark.parametrize("case", ["half", "missing", "encrypted", "not PEM", "other key"])
def test_tls_files_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    good = make_certificate(tmp_path / "good")
    words: list[str | Path] = ["--tls-cert", good.site, "--tls-key", good.key]
    said = ""
    if case == "half":
        words, said = words[:2], "tls_cert and tls_key must be set together"
    elif case == "missing":
        good.key.unlink()
        said = f"cannot use TLS file {good.key}: No such file"
    elif case == "encrypted":
        call: list[str | Path] = [
            "openssl",
            "pkey",
            "-in",
            good.key,
            "-aes256",
            "-passout",
            "pass:secret",
        ]
        subprocess.run([*call, "-out", tmp_path / "sealed"], check=True)
        words[3], said = tmp_path / "sealed", "it is encrypted"
    elif case == "not PEM":
        good.site.write_text("nonsense")
        said = f"cannot use TLS certificate {good.site}"
    else:
        words[3], said = make_certificate(tmp_path / "other").key, "key values mismatch"
    done = subprocess.run([*TINY, *words], capture_output=True, text=True, timeout=ANSWER_S)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
