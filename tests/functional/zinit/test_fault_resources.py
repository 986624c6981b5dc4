"""Scarce resources: processes, descriptors, memory, disk space and inodes."""

import contextlib
import errno
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.needs import need_root
from tests.helpers.waiting import DEADLINE_S, wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, count_fds, cpu_seconds, running_daemon
from zinit.client.line import Client, ZinitError


def test_a_failed_fork_is_retried(tmp_path: Path) -> None:
    """fork fails with EAGAIN; upstream never starts the service again.

    Root is exempt from RLIMIT_NPROC, so the call itself is replaced.
    """
    with ZinitDaemon(tmp_path) as zinit:
        full = tmp_path / "full"
        full.touch()
        zinit.insert(
            "import os, errno\nold = os.posix_spawn\n"
            "def spawn(*a, **k):\n"
            f"    if os.path.exists({str(full)!r}): raise OSError(errno.EAGAIN, 'no more')\n"
            "    return old(*a, **k)\n"
            "os.posix_spawn = spawn\n"
        )
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Failure")
        full.unlink()
        zinit.wait_for_state("a", "Running")


def test_restarts_leave_no_descriptor_behind(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, quick='exec: "true"\nrestart: {delay: 0, factor: 1}\nready: notify'
    ) as zinit:
        wait_until(lambda: zinit.count_starts("quick") > 20, "it flaps")
        zinit.client.stop("quick")
        wait_until(lambda: zinit.service_pid("quick") == 0, "it is down")
        before = count_fds(zinit.pid)
        zinit.client.start("quick")
        wait_until(lambda: zinit.count_starts("quick") > 120, "a hundred restarts")
        zinit.client.stop("quick")
        wait_until(lambda: zinit.service_pid("quick") == 0, "it is down")
        wait_until(lambda: count_fds(zinit.pid) <= before, "the pipes close")


def test_processes_that_are_left_behind_cost_one_pair_of_pipes(tmp_path: Path) -> None:
    script = "setsid sleep 1000 & echo one; printf half; exit 1"
    with running_daemon(
        tmp_path, leaves=f"exec: sh -c '{script}'\nrestart: {{delay: 0, factor: 1}}"
    ) as zinit:
        wait_until(lambda: zinit.count_starts("leaves") > 5, "it flaps")
        zinit.client.stop("leaves")
        wait_until(lambda: zinit.service_pid("leaves") == 0, "it is down")
        before = count_fds(zinit.pid)
        zinit.client.start("leaves")
        wait_until(lambda: zinit.count_starts("leaves") > 25, "twenty restarts")
        zinit.client.stop("leaves")
        wait_until(lambda: zinit.service_pid("leaves") == 0, "it is down")
        assert count_fds(zinit.pid) <= before + 2  # a pidfd or a client may be on its way out
        lines = zinit.lines("leaves")
        assert lines.count("[+] leaves: one") >= 20
        assert "[+] leaves: halfone" not in lines
        assert lines.count("[+] leaves: half") >= 20


def test_starts_without_descriptors_are_retried(tmp_path: Path) -> None:
    """Services that get no pipes (EMFILE) are retried; clients are still served."""
    with ZinitDaemon(tmp_path) as zinit:
        for number in range(40):
            zinit.write(f"s{number}", "exec: sleep 1000")
        prefix = ("prlimit", "--nofile=64:64")
        zinit.start(prefix=prefix)
        wait_until(
            lambda: {"Failure", "Running"} <= set(zinit.client.list().values()),
            "some fail, some run",
        )
        for number in range(35):
            zinit.client.stop(f"s{number}")
        wait_until(
            lambda: all(zinit.state(f"s{n}") == "Running" for n in range(35, 40)),
            "the rest comes up",
        )
        assert "internal error" not in zinit.said()


def test_clients_are_turned_away_when_no_descriptor_is_free(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", "exec: sleep 1000")
        zinit.start(prefix=("prlimit", "--nofile=24:24"))
        zinit.wait_for_state("a", "Running")
        socks = []
        try:
            for _ in range(60):
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(str(zinit.socket))
                socks.append(sock)
            before = cpu_seconds(zinit.pid)
            assert zinit.state("a") == "Running"
            end = time.monotonic() + 0.5
            wait_until(lambda: time.monotonic() > end, "time passes")
            assert cpu_seconds(zinit.pid) - before < 0.2
        finally:
            for sock in socks:
                sock.close()
        assert zinit.state("a") == "Running"
        assert "internal error" not in zinit.said()


def test_the_last_descriptor_serves_a_client_that_sends_late(tmp_path: Path) -> None:
    """No other client waits, so there is no reason to turn this one away."""
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        used = {int(path.name) for path in Path(f"/proc/{zinit.pid}/fd").iterdir()}
        free = [number for number in range(max(used) + 2) if number not in used]
        hard = resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE, (free[0] + 1, hard))
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE_S)
            sock.connect(str(zinit.socket))
            wait_until(lambda: count_fds(zinit.pid) == len(used) + 1, "it is accepted")
            end = time.monotonic() + 0.2
            wait_until(lambda: time.monotonic() > end, "zinit has handled it")
            sock.sendall(b"list\n")
            assert b'"a"' in sock.recv(4096)
        resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE, (hard, hard))


def test_a_flood_of_output_stays_within_a_memory_limit(tmp_path: Path) -> None:
    """In a small address space, a service that floods the log loses lines, no more."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("flood", "exec: sh -c 'head -c 30000000 /dev/zero; sleep 1000'")
        zinit.write("other", "exec: sleep 1000")
        zinit.start(prefix=("prlimit", f"--as={220 << 20}"))
        zinit.wait_for_state("other", "Running")
        wait_until(lambda: len(zinit.lines("flood")) > 10, "the flood is read")
        zinit.client.stop("other")
        zinit.wait_for_state("other", "Error(Signaled")


@pytest.mark.usefixtures("as_root")
def test_a_full_disk_is_reported_once_and_written_again_later(tmp_path: Path) -> None:
    """The log file is on a file system without free space."""
    disk = tmp_path / "disk"
    disk.mkdir()
    assert os.system(f"mount -t tmpfs -o size=64k none {disk}") == 0
    try:
        with ZinitDaemon(tmp_path) as zinit:
            zinit.write(
                "a",
                "exec: sh -c 'while :; do echo a long line for a small disk; sleep 0.01; done'"
                f"\nlog: {{file: {disk}/log, size: 1M}}",
            )
            with contextlib.suppress(OSError), open(disk / "fill", "wb") as fill:
                fill.write(b"x" * (1 << 20))
            zinit.start()
            wait_until(lambda: "lines are lost" in zinit.said(), "it is reported")
            zinit.wait_for_line("[+] a: a long line for a small disk")
            assert "successfully" in zinit.rpc("service_create", "b", {"exec": "sleep 1"})["result"]
            assert zinit.said().count("lines are lost") == 1
            (disk / "fill").unlink()
            wait_until(lambda: (disk / "log").stat().st_size > 0, "it is written again")
    finally:
        os.system(f"umount -l {disk}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a tmpfs of 1 MiB and 40 inodes."""
    need_root()
    disk = tmp_path / "run"
    disk.mkdir()
    options = "size=1m,nr_inodes=40"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill_space(disk: Path) -> None:
    with pytest.raises(OSError) as caught, open(disk / "fill", "wb", buffering=0) as fill:
        while True:
            fill.write(b"x" * 4096)
    assert caught.value.errno == errno.ENOSPC


def fill_inodes(disk: Path) -> None:
    with pytest.raises(OSError) as caught:
        for number in range(100):
            (disk / f"empty{number}").touch()
    assert caught.value.errno == errno.ENOSPC


def test_a_full_run_folder_is_an_error_and_no_crash(tmp_path: Path, small_disk: Path) -> None:
    """The service folder and the socket are on a file system without space and inodes."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.etc, zinit.socket = small_disk / "etc", small_disk / "sock"
        zinit.client = Client(str(zinit.socket))
        zinit.etc.mkdir()
        zinit.write("a", "exec: sh -c 'echo up; exec sleep 1000'")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        zinit.wait_for_line("[+] a: up")
        zinit.write("whole", 'exec: "true"\noneshot: true')
        pid = zinit.service_pid("a")

        fill_space(small_disk)
        with pytest.raises(OSError, match="No space left"):
            zinit.write("torn", "exec: sleep 1000")
        assert "error" in zinit.rpc("service_create", "drafted", {"exec": "sleep 1000"})
        assert not list(zinit.etc.glob("*draft*"))
        fill_inodes(small_disk)
        for name in ("torn", "missing"):
            with pytest.raises(ZinitError):
                zinit.client.monitor(name)
        zinit.client.monitor("whole")
        zinit.wait_for_state("whole", "Success")
        done = zinit.client.reload()
        assert isinstance(done, dict)
        assert list(done.pop("failed")) == ["torn"]
        assert not any(done.values()), done
        assert "error" in zinit.rpc("service_create", "created", {"exec": "sleep 1000"})
        assert zinit.state("a") == "Running"
        assert "[+] a: up" in zinit.lines()
        assert zinit.service_pid("a") == pid
        assert not (zinit.etc / "created.yaml").exists()

        for path in (small_disk / "fill", *small_disk.glob("empty*")):
            path.unlink()
        zinit.write("torn", "exec: sleep 1000")
        zinit.client.reload()
        zinit.wait_for_state("torn", "Running")
        assert "result" in zinit.rpc("service_create", "created", {"exec": "sleep 1000"})
        zinit.client.monitor("created")
        zinit.wait_for_state("created", "Running")
        assert zinit.service_pid("a") == pid
        assert "internal error" not in zinit.said()
        assert zinit.end() == 0
