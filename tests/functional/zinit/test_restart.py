"""`zinit restart` and `zinit reload`, in both protocols, and with a daemon that has no restart."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.waiting import DEADLINE_S, wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, hold, running_daemon

STUBBORN = "exec: sh -c \"trap 'echo asked' TERM; echo ready; while :; do sleep 0.1; done\""


@pytest.fixture
def zinit(tmp_path: Path) -> Iterator[ZinitDaemon]:
    with running_daemon(
        tmp_path,
        a="exec: sleep 1000\nrestart: {delay: 0}\nreload: echo told to reload",
        stubborn=f"{STUBBORN}\nstop_timeout: 1.5\nrestart: {{delay: 0}}",
    ) as daemon:
        daemon.wait_for_state("a", "Running")
        daemon.wait_for_line("[+] stubborn: ready")  # the signal would end it before
        daemon.wait_for_state("stubborn", "Running")
        yield daemon


def test_sigkill_comes_at_the_services_stop_timeout(zinit: ZinitDaemon) -> None:
    pid = zinit.service_pid("stubborn")
    begun = time.monotonic()
    assert zinit.cli("restart", "stubborn").returncode == 0
    assert time.monotonic() - begun > 1.5
    assert zinit.running_pid("stubborn") != pid
    assert zinit.said().count("stubborn: did not stop in time, sending SIGKILL") == 1


def test_other_clients_are_served_during_a_restart(zinit: ZinitDaemon) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect(str(zinit.socket))
        sock.sendall(b"restart stubborn\n")
        pid = zinit.service_pid("stubborn")
        assert zinit.rpc("service_restart", "a")["result"] is None
        assert zinit.service_pid("stubborn") == pid, "still being stopped"
        assert sock.recv(4096) == b'{"state":"ok","body":null}'
    assert zinit.running_pid("stubborn") != pid


def test_a_client_that_hangs_up_does_not_cancel_its_restart(zinit: ZinitDaemon) -> None:
    pid = zinit.service_pid("stubborn")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(zinit.socket))
        sock.sendall(b"restart stubborn\n")
        assert zinit.client.list()
    wait_until(lambda: zinit.service_pid("stubborn") not in (0, pid), "it runs again")


def test_json_rpc_restarts(zinit: ZinitDaemon) -> None:
    pid = zinit.service_pid("a")
    assert zinit.rpc("service_restart", "a")["result"] is None
    assert zinit.running_pid("a") != pid
    error = zinit.rpc("service_restart", "nobody")["error"]
    assert (error["code"], error["data"]["action"]) == (-32000, "restarting service")


def test_a_restart_that_another_command_cancels_is_an_error(zinit: ZinitDaemon) -> None:
    replies = []
    thread = threading.Thread(
        target=lambda: replies.append(zinit.rpc("service_restart", "stubborn"))
    )
    thread.start()
    zinit.wait_for_line("[+] stubborn: asked")
    zinit.client.stop("stubborn")
    thread.join(DEADLINE_S)
    assert replies[0]["error"]["data"]["code_name"] == "ServiceStopped"
    assert zinit.client.status("stubborn")["target"] == "Down"


def test_a_restart_survives_a_reexec(zinit: ZinitDaemon) -> None:
    pid = zinit.service_pid("stubborn")
    done = []
    thread = threading.Thread(target=lambda: done.append(zinit.cli("restart", "stubborn")))
    thread.start()
    zinit.wait_for_line("[+] stubborn: asked")
    assert zinit.cli("reexec").returncode == 0
    thread.join(DEADLINE_S)
    assert (done[0].returncode, done[0].stderr) == (0, "")
    wait_until(lambda: zinit.service_pid("stubborn") not in (0, pid), "it runs again")
    assert "re-executed" in zinit.said()


def test_a_daemon_without_restart_is_asked_to_stop_and_start(
    zinit: ZinitDaemon, tmp_path: Path
) -> None:
    """A proxy stands in for an older daemon, such as upstream's 0.2.14."""
    path, asked = tmp_path / "old", []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    client = listener.accept()[0]
                except OSError:
                    return
                with client:
                    line = client.recv(65536)
                    word = line.decode().split()[0]
                    asked.append(word)
                    text = f"unknown command '{word}' or wrong arguments count"
                    refusal = json.dumps({"state": "error", "body": text}).encode()
                    client.sendall(refusal if word == "restart" else zinit.exchange(line))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            pid = zinit.service_pid("a")
            assert zinit.cli("-s", str(path), "restart", "a").returncode == 0
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    assert [asked[0], asked[1], asked[-1]] == ["restart", "stop", "start"]
    assert set(asked[2:-1]) == {"status"}
    assert zinit.running_pid("a") != pid


def test_json_rpc_reloads_the_folder_or_one_service(zinit: ZinitDaemon) -> None:
    assert zinit.rpc("service_reload", "a")["result"] is None
    zinit.wait_for_line("[+] a/reload: told to reload")
    error = zinit.rpc("service_reload", "stubborn")["error"]
    assert error["message"] == 'reloading service: service "stubborn" has no reload key'
    assert error["data"]["code_name"] == "CannotReload"
    zinit.write("late", "exec: sleep 1000")
    zinit.write("a", "exec: [")
    done = zinit.rpc("system_reload")["result"]
    assert done["added"] == ["late"]
    assert list(done["failed"]) == ["a"]
    zinit.wait_for_state("late", "Running")
    zinit.etc.rename(zinit.etc.with_name("gone"))
    error = zinit.rpc("system_reload")["error"]
    assert error["data"]["code_name"] == "FolderError"
    assert zinit.cli("reload").stderr == f"cannot read {zinit.etc}: No such file or directory\n"


def test_a_process_that_was_stopped_by_a_signal_is_restarted(zinit: ZinitDaemon) -> None:
    pid = zinit.service_pid("a")
    hold(pid)
    assert zinit.cli("restart", "a").returncode == 0
    assert zinit.running_pid("a") != pid
