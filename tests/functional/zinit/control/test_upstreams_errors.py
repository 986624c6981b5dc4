"""Errors that the recordings of upstream's answers do not reach, as its source has them."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.waiting import DEADLINE_S, wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon

GENERAL = {"cause_chain": None, "retryable": False}


@pytest.fixture
def zinit(tmp_path: Path) -> Any:
    with running_daemon(tmp_path, a="exec: sleep 1000") as daemon:
        daemon.write("bad", "exec: [")
        (daemon.etc / "folder.yaml").mkdir()
        yield daemon


def fail(zinit: ZinitDaemon, method: str, *params: object) -> tuple[int, str, dict[str, object]]:
    error = zinit.rpc(method, *params)["error"]
    return error["code"], error["message"], error["data"]


def test_errors_about_service_files(zinit: ZinitDaemon) -> None:
    code, message, data = fail(zinit, "service_get", "bad")
    assert (code, message) == (-32005, "getting service: failed to parse YAML")
    assert data.pop("cause_chain")
    assert data == {
        "action": "parsing service file",
        "code_name": "ConfigError",
        "hint": "Ensure the YAML is valid",
        "service": "bad",
    }
    for method, verb, action in (
        ("service_get", "getting", "reading service file"),
        ("service_delete", "deleting", "deleting service file"),
    ):
        assert fail(zinit, method, "nope") == (
            -32000,
            f"{verb} service: Service 'nope' not found",
            {
                "action": action,
                "code_name": "ServiceNotFound",
                "hint": "Ensure the service file exists",
                "service": "nope",
            },
        )
    code, message, data = fail(zinit, "service_delete", "folder")
    assert (code, message) == (-32008, "deleting service file: failed to delete service file")
    assert data["hint"] == "Check permissions and filesystem availability"
    code, message, data = fail(zinit, "service_stats", "nope")
    assert (code, message) == (-32000, "collecting stats: service 'nope' not found")


def test_errors_about_the_http_server(zinit: ZinitDaemon) -> None:
    code, message, data = fail(zinit, "system_start_http_server", "nonsense")
    assert code == -32603
    assert message.startswith("starting http server: ")
    assert {**data, **GENERAL} == data
    assert (data["code_name"], data["service"]) == ("InternalError", None)
    code, message, data = fail(zinit, "system_stop_http_server")
    assert (code, data["action"]) == (-32603, "stopping http server")
    assert "error" not in zinit.rpc("system_start_http_server", f"unix:{zinit.folder}/http")
    assert zinit.rpc("system_stop_http_server")["result"] is None
    assert "error" in zinit.rpc("system_stop_http_server")


@pytest.mark.parametrize("version", ['"jsonrpc":"1.0",', '"jsonrpc":2.0,', ""])
def test_only_version_2_is_served(zinit: ZinitDaemon, version: str) -> None:
    text = f'{{{version}"id":1,"method":"system_shutdown","params":[]}}'
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE_S)
        sock.connect(str(zinit.socket))
        sock.sendall(text.encode())
        reply = json.loads(sock.recv(65536))
    assert (reply["id"], reply["error"]["code"]) == (1, -32600)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("list with more words", {"a": "Running"}),
        ("log snapshot x", "invalid log command arguments"),
        ("log nonsense", "invalid log command arguments"),
        ("start a b", "unknown command 'start' or wrong arguments count"),
        ("kill a", "unknown command 'kill' or wrong arguments count"),
        ("List", "unknown command 'List' or wrong arguments count"),
        ("# comment", "unknown command"),
        ("shutdown now", None),
    ],
)
def test_words_in_the_line_protocol(zinit: ZinitDaemon, line: str, body: object) -> None:
    zinit.wait_for_state("a", "Running")
    answer = json.loads(zinit.exchange(line.encode() + b"\n"))
    assert answer["body"] == body
    assert answer["state"] == ("error" if isinstance(body, str) else "ok")


def test_a_shutdown_refuses_in_upstreams_words(tmp_path: Path) -> None:
    loop = 'trap "" TERM; echo set; while :; do sleep 0.1; done'
    text = f"exec: sh -c '{loop}'\nstop_timeout: 60"
    with running_daemon(tmp_path, a=text) as zinit:
        zinit.wait_for_line("[+] a: set")
        zinit.rpc("system_shutdown")
        wait_until(lambda: zinit.client.status("a")["target"] == "Down", "it stops a")
        code, message, data = fail(zinit, "service_start", "a")
        assert (code, message) == (-32006, "starting service: system is shutting down")
        assert data["code_name"] == "ShuttingDown"
        assert str(data["hint"]).startswith("Wait for shutdown to complete")
        code, message, data = fail(zinit, "system_reboot")
        assert (message, data["service"]) == ("system reboot: system is shutting down", None)
        zinit.client.kill("a", "SIGKILL")
        assert zinit.process is not None
        assert zinit.process.wait(60) == 0
