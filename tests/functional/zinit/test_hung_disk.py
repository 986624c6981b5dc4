"""A disk that hangs blocks zinit neither through processes in state D nor through log files."""

import os
import re
import time
from pathlib import Path

import pytest

from tests.helpers.hung_disk import HungDisk, hung_disk
from tests.helpers.processes import process_state
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, cpu_seconds

TALKER = "sh -c 'n=0; while :; do n=$((n+1)); echo $n {filler}; done'"

pytestmark = pytest.mark.usefixtures("as_root")


def assert_is_responsive(zinit: ZinitDaemon, name: str) -> None:
    """Check that requests are answered and services restarted while the disk hangs.

    Speed does not matter: a request that waited for the disk would never be answered.
    """
    before = zinit.running_pid(name)
    os.kill(before, 9)
    wait_until(lambda: zinit.service_pid(name) not in (0, before), "it is restarted")


def test_a_process_in_state_d_blocks_nothing(tmp_path: Path) -> None:
    """SIGTERM and SIGKILL have no effect on it; stop, status and shutdown still complete."""
    with hung_disk(tmp_path / "disk") as disk, ZinitDaemon(tmp_path) as zinit:
        disk.hang()
        zinit.write("stuck", f"exec: cat {disk.path}/file\nstop_timeout: 0.2\nlog: none")
        zinit.write("well", "exec: sleep 1000\nrestart: {delay: 0.01}")
        zinit.start()
        wait_until(lambda: disk.held, "it reads")
        pid = zinit.service_pid("stuck")
        assert zinit.cli("stop", "stuck").returncode == 0
        wait_until(lambda: "stuck: still exists after SIGKILL" in zinit.said(), "it is reported")
        wait_until(lambda: process_state(pid) == "D", "it is stuck")
        assert zinit.client.status("stuck")["pid"] == pid
        assert zinit.client.status("stuck")["target"] == "Down"
        assert_is_responsive(zinit, "well")

        used, at = cpu_seconds(zinit.pid), time.monotonic()
        wait_until(lambda: time.monotonic() - at > 1.0, "a second")
        assert cpu_seconds(zinit.pid) - used < 0.1, "it does not spin"

        assert zinit.end() == 0
        assert process_state(pid) == "D"
        disk.go_on()
        wait_until(lambda: process_state(pid) in ("", "Z"), "it ends at last")


def test_a_process_in_state_d_ends_when_the_disk_answers(tmp_path: Path) -> None:
    with hung_disk(tmp_path / "disk") as disk, ZinitDaemon(tmp_path) as zinit:
        disk.hang()
        zinit.write("stuck", f"exec: cat {disk.path}/file\nstop_timeout: 0.2\nlog: none")
        zinit.start()
        wait_until(lambda: disk.held, "it reads")
        zinit.client.stop("stuck")
        wait_until(lambda: "stuck: still exists after SIGKILL" in zinit.said(), "it is reported")
        assert zinit.service_pid("stuck") != 0
        disk.go_on()
        zinit.wait_for_state("stuck", "Error(Signaled")
        assert zinit.service_pid("stuck") == 0


def start_talker(zinit: ZinitDaemon, disk: HungDisk, log: str) -> None:
    filler = "x" * 400
    zinit.write("talker", f"exec: {TALKER.format(filler=filler)}\nlog: {{file: {log}, size: 1G}}")
    zinit.write("well", "exec: sleep 1000\nrestart: {delay: 0.01}")
    zinit.start()
    zinit.wait_for_state("talker", "Running")


def last_number(zinit: ZinitDaemon) -> int:
    return int(zinit.lines("talker")[-1].split()[2])


@pytest.mark.parametrize("is_open", [False, True], ids=["opening", "writing"])
def test_a_log_file_on_a_hung_disk_blocks_nothing(tmp_path: Path, is_open: bool) -> None:
    """The service goes on, PID 1 answers, and lines that were not written are counted."""
    with hung_disk(tmp_path / "disk") as disk, ZinitDaemon(tmp_path) as zinit:
        if not is_open:
            disk.hang()
        start_talker(zinit, disk, f"{disk.path}/talker.log")
        if is_open:
            wait_until(lambda: disk.content("talker.log"), "it is written")
            disk.hang()
        wait_until(lambda: f"writing in {disk.path} hangs" in zinit.said(), "it is reported")
        assert_is_responsive(zinit, "well")
        seen = last_number(zinit)
        wait_until(lambda: last_number(zinit) > seen + 1000, "the service goes on")
        assert zinit.cli("reexec").returncode == 0
        wait_until(lambda: "re-executed with 2 services" in zinit.said(), "it re-executes")
        seen = last_number(zinit)
        wait_until(lambda: last_number(zinit) > seen + 1000, "the service goes on")

        last = last_number(zinit)
        disk.go_on()
        wait_until(lambda: whole_numbers(disk)[-1] > last, "it is written again")
        numbers = whole_numbers(disk)
        assert numbers == sorted(set(numbers)), "in order, and none twice"
        wait_until(
            lambda: missing(disk) == reported_missing(zinit) > 0, "all lost lines are reported"
        )

        disk.hang()
        assert zinit.end() == 0
        assert "internal error" not in zinit.said()


def whole_numbers(disk: HungDisk) -> list[int]:
    """Return the numbers of the complete lines in the log file."""
    lines = disk.content("talker.log").split(b"\n")[:-1]
    return [int(line.split()[0]) for line in lines] or [0]


def missing(disk: HungDisk) -> int:
    """Return how many lines before the last one are missing."""
    numbers = whole_numbers(disk)
    return numbers[-1] - len(numbers)


def reported_missing(zinit: ZinitDaemon) -> int:
    """Return how many lines zinit has reported as lost."""
    return sum(map(int, re.findall(r"(\d+) lines were not written in", zinit.said())))


def test_a_writer_that_is_killed_is_replaced(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write(
            "a",
            "exec: sh -c 'n=0; while :; do n=$((n+1)); echo $n; sleep 0.05; done'\n"
            f"log: {{file: {log}}}",
        )
        zinit.start()
        wait_until(lambda: log.exists() and log.read_text(), "it is written")
        service = zinit.service_pid("a")
        text = Path(f"/proc/{zinit.pid}/task/{zinit.pid}/children").read_text()
        (writer,) = [int(word) for word in text.split() if int(word) != service]
        os.kill(writer, 9)
        wait_until(
            lambda: f"the log writer for {log.parent} has ended" in zinit.said(), "it is reported"
        )
        size = log.stat().st_size
        wait_until(lambda: log.stat().st_size > size, "another one writes")
        assert zinit.service_pid("a") == service
        assert zinit.end() == 0


def test_a_program_on_a_hung_disk_blocks_nothing(tmp_path: Path) -> None:
    """A service that is forked (here for no_new_privileges) is waited for only briefly."""
    with hung_disk(tmp_path / "disk") as disk, ZinitDaemon(tmp_path) as zinit:
        zinit.write("stuck", f"exec: {disk.path}/program\nno_new_privileges: true")
        zinit.write("well", "exec: sleep 1000\nrestart: {delay: 0.01}")
        zinit.start()
        zinit.wait_for_state("stuck", "Failure")
        disk.hang()
        zinit.client.stop("stuck")
        zinit.client.start("stuck")
        wait_until(lambda: disk.held, "it reads")
        assert_is_responsive(zinit, "well")
        disk.go_on()
        zinit.wait_for_state("stuck", "Error(Exited", "Failure")
        assert "internal error" not in zinit.said()
