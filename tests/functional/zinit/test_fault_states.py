"""Stops, shutdowns, crash loops and bad files: what services show and do in each case."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.helpers.checkout import TOP
from tests.helpers.processes import children_of
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon
from zinit.client.line import ZinitError


def test_the_probe_of_a_service_that_dies_is_ended(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        a="exec: sh -c 'sleep 0.3; exit 1'\ntest: sleep 1000\nrestart: never",
        b="exec: sleep 1000\nafter: [a]",
    ) as zinit:
        zinit.wait_for_state("a", "Error(Exited")
        wait_until(lambda: not children_of(zinit.pid), "the probe is ended too")
        assert zinit.state("b") == "Blocked"


def test_a_stop_while_spawned_or_blocked_is_prompt(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, a='exec: sleep 1000\ntest: "false"', b="exec: sleep 1000\nafter: [a]"
    ) as zinit:
        zinit.wait_for_state("a", "Spawned")
        zinit.client.stop("b")
        zinit.client.stop("a")
        wait_until(lambda: zinit.service_pid("a") == 0, "a stops")
        zinit.client.forget("a")
        zinit.client.forget("b")


def test_a_shutdown_while_nothing_is_ready_is_prompt(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        a='exec: sleep 1000\ntest: "false"\nstop_timeout: 1000',
        b="exec: sleep 1000\nafter: [a]",
        c="exec: sh -c 'exit 1'",
        loop1="exec: sleep 1000\nafter: [loop2]",
        loop2="exec: sleep 1000\nafter: [loop1]",
    ) as zinit:
        zinit.wait_for_state("a", "Spawned")
        zinit.wait_for_state("c", "Error")
        assert zinit.end() == 0
        assert "wait for each other and never start: loop1, loop2" in zinit.said()


def test_dependents_stop_first_in_a_chain_of_33(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        order = tmp_path / "order"
        for number in range(33):
            after = f"\nafter: [s{number - 1:02}]" if number else ""
            trap = f'trap "echo {number} >> {order}; exit 0" TERM'
            script = f"{trap}; echo >&3; sleep 1000 & wait"  # ready when the trap is set
            zinit.write(f"s{number:02}", f"exec: sh -c '{script}'\nready: fd:3{after}")
        zinit.start()
        zinit.wait_for_state("s32", "Running")
        assert zinit.end() == 0
        assert order.read_text().split() == [str(n) for n in reversed(range(33))]


def test_a_crash_loop_ends_as_crashed_with_the_reason(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, a="exec: sh -c 'exit 7'\nrestart: {delay: 0.01, factor: 1, limit: 5}"
    ) as zinit:
        shown = zinit.wait_for_state("a", "Crashed(")
        assert "5 restarts in 60 s" in shown
        assert "Exited(Pid(" in shown
        assert zinit.count_starts("a") == 6


def test_half_written_files_change_nothing(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000\nenv: {A: '1'}") as zinit:
        zinit.wait_for_state("a", "Running")
        pid = zinit.service_pid("a")
        for text in ("exec: 'sleep", "", "exec: sleep 1000\nenv: {A: '1'", "\0", "exec: [sleep]"):
            zinit.write("a", text)
            done = zinit.cli("reload")
            assert done.returncode == 1
            assert "a: " in done.stderr
        assert zinit.service_pid("a") == pid
        zinit.write("a", "exec: sleep 1000\nenv: {A: '1'}")
        assert zinit.cli("reload").stdout == ""
        assert zinit.service_pid("a") == pid


def test_delays_do_not_follow_the_wall_clock() -> None:
    """No source reads the wall clock, so zinit cannot notice that it jumps."""
    sources = (TOP / "zinit").rglob("*.py")
    for source in sources:
        text = source.read_text()
        for call in ("time.time(", "CLOCK_REALTIME", "datetime"):
            assert call not in text, f"{source.name} reads the wall clock"


@pytest.mark.parametrize(
    "place",
    [
        "zinit.log.outputs.Outputs._read",
        "zinit.control.server.Server._receive",
        "zinit.process.system.RealSystem.reap",
        "zinit.life.carrier.Carrier._announce",
        "zinit.life.launcher.Launcher.work",
        "zinit.life.manager.Manager.on_exit",
    ],
)
def test_an_exception_in_a_handler_is_reported_and_disturbs_no_other(
    tmp_path: Path, place: str
) -> None:
    module, kind, method = place.rsplit(".", 2)
    with ZinitDaemon(tmp_path) as zinit:
        flag = tmp_path / "fail"
        zinit.insert(
            f"import os\nfrom {module} import {kind}\nold = {kind}.{method}\n"
            "def broken(*a, **k):\n"
            f"    if os.path.exists({str(flag)!r}):\n"
            f"        os.unlink({str(flag)!r})\n"
            "        raise RuntimeError('failpoint')\n"
            "    return old(*a, **k)\n"
            f"{kind}.{method} = broken\n"
        )
        zinit.write("a", "exec: sh -c 'echo x; exec sleep 1000'\nrestart: {delay: 0.1}")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        flag.touch()
        os.kill(zinit.running_pid("a"), signal.SIGKILL)
        zinit.write("b", "exec: sh -c 'echo y; exec sleep 1000'")
        with contextlib.suppress(ZinitError):
            zinit.client.monitor("b")
        wait_until(lambda: "failpoint" in zinit.said(), f"{place} fails")
        assert zinit.client.list() is not None
        zinit.write("c", "exec: sleep 1000")
        zinit.client.monitor("c")
        zinit.wait_for_state("c", "Running")
