"""The reason of a failure is in `status`, `reason` and `log NAME`; a mended file is tried again."""

import json
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon
from zinit.client.errors import ZinitError

MISSING = "cannot start: /nowhere/x: No such file or directory"


def read_reason(zinit: ZinitDaemon, name: str) -> str:
    return str(zinit.client.status(name).get("reason", ""))


def test_status_and_log_tell_why_a_service_did_not_start(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: /nowhere/x", fine="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Failure")
        assert read_reason(zinit, "a") == MISSING
        assert zinit.rpc("service_status", "a")["result"]["reason"] == MISSING
        assert zinit.rpc("service_reason", "a")["result"] == MISSING
        assert MISSING in zinit.cli("log", "-s", "a").stdout
        assert zinit.cli("reason", "a").stdout == MISSING + "\n"
        assert json.loads(zinit.cli("status", "--json", "a").stdout)["reason"] == MISSING
        assert "reason" not in zinit.cli("status", "a").stdout  # upstream's five keys
        zinit.wait_for_state("fine", "Running")
        assert "reason" not in zinit.client.status("fine")
        assert zinit.cli("reason", "fine").stdout == ""
        assert zinit.cli("reason", "nope").returncode == 1


def test_a_service_that_is_stopped_because_of_its_test_says_so(tmp_path: Path) -> None:
    text = (
        "exec: sleep 1000\nrestart: never\n"
        "liveness:\n  test: 'false'\n  interval: 0.05\n  failures: 1\n"
    )
    with running_daemon(tmp_path, a=text, b="exec: sleep 1000\ntest: /nowhere/y") as zinit:
        zinit.wait_for_state("a", "Error")
        assert read_reason(zinit, "a") == "failed its liveness test 1 times"
        zinit.wait_for_state("b", "TestFailure")
        assert read_reason(zinit, "b").startswith("its test cannot be run: /nowhere/y")
        assert "its test cannot be run" in zinit.cli("log", "-s", "b").stdout


def test_reload_starts_what_a_mended_file_lets_start(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        a="exec: /nowhere/x",
        b="exec: sleep 1000\noneshot: maybe",
        c="exec: sh -c 'exit 3'\noneshot: true",
        d="exec: 'true'\noneshot: true",
        e="exec: sleep 1000",
    ) as zinit:
        zinit.wait_for_state("a", "Failure")
        zinit.wait_for_state("c", "Error")
        zinit.wait_for_state("d", "Success")
        refusal = f"its file is refused: {zinit.etc}/b.yaml: line 2"
        unknown = 'service name "b" unknown'
        with pytest.raises(ZinitError) as caught:
            zinit.client.status("b")
        assert caught.value.message == unknown  # upstream's clients match it
        assert zinit.cli("status", "b").stderr.startswith(f"{unknown}: {refusal}")
        assert refusal in zinit.cli("log", "-s", "b").stdout
        assert refusal in zinit.cli("reason", "b").stdout
        zinit.client.stop("e")
        wait_until(lambda: not zinit.service_pid("e"), "e is down")
        for name in ("a", "b", "e"):
            zinit.write(name, "exec: sleep 2000")
        for name in ("c", "d"):
            zinit.write(name, "exec: sh -c 'echo again'\noneshot: true")
        zinit.client.reload()
        for name in ("a", "b"):
            zinit.wait_for_state(name, "Running")
            assert zinit.cli("reason", name).stdout == ""
        zinit.wait_for_state("c", "Success")
        assert zinit.count_starts("d") == 1  # it had not failed
        assert zinit.client.status("e")["target"] == "Down"  # it is not wanted


def test_a_bad_change_of_a_running_services_file_is_told(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        zinit.write("a", "exec: [")
        assert list(zinit.client.reload()["failed"]) == ["a"]
        assert "its file is refused" in read_reason(zinit, "a")
        zinit.write("a", "exec: sleep 1000")
        zinit.client.reload()
        assert read_reason(zinit, "a") == ""
        for name in ("../x", "nope", "x" * 300):
            zinit.exchange(f"monitor {name}\n".encode())
            assert zinit.cli("reason", name).returncode == 1


def test_tests_leave_no_marks_in_the_log(tmp_path: Path) -> None:
    text = "exec: sleep 1000\nliveness:\n  test: echo alive\n  interval: 0.05\n"
    with running_daemon(tmp_path, a=text) as zinit:
        wait_until(lambda: len(zinit.lines("a/test")) >= 5, "five tests")
        assert {line.partition(": ")[2] for line in zinit.lines("a/test")} == {"alive"}
        assert zinit.count_starts("a") == 1
