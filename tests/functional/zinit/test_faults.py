"""The fault matrix with real processes: what goes wrong around an init, and what must hold."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.checkout import TOP
from tests.helpers.processes import children_of
from tests.helpers.waiting import DEADLINE_S, wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, hold, running_daemon


def count_fds(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_ticks(pid: int) -> int:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


def rss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def starts(zinit: ZinitDaemon, name: str) -> int:
    return sum("[start]" in line for line in zinit.lines(name))


def test_children_ending_together_are_all_seen(tmp_path: Path) -> None:
    """SIGCHLDs melt into one; every status is still collected, and no zombie stays."""
    with ZinitDaemon(tmp_path) as zinit:
        gate = tmp_path / "gate"
        os.mkfifo(gate)
        held = os.open(gate, os.O_RDWR)
        try:
            for number in range(300):
                zinit.write(f"s{number}", f"exec: sh -c 'read x < {gate}; exit 3'\noneshot: true")
            zinit.start()
            wait_until(lambda: set(zinit.client.list().values()) == {"Running"}, "all run")
            wait_until(lambda: count_readers(gate) == 300, "all wait")
        finally:
            os.close(held)  # the only writer: all of them read the end of the file now
        wait_until(
            lambda: all(s.startswith("Error(Exited") for s in zinit.client.list().values()),
            "all ends are seen",
        )
        assert children_of(zinit.pid) == []


def count_readers(gate: Path) -> int:
    """Return how many processes have the FIFO open, beside this one."""
    count = 0
    for folder in Path("/proc").glob("[0-9]*/fd/0"):
        with contextlib.suppress(OSError):
            count += folder.readlink() == gate
    return count


def test_instant_exits_are_never_missed(tmp_path: Path) -> None:
    """The child may be gone before its pid is known (upstream lost such ends)."""
    with running_daemon(
        tmp_path,
        quick='exec: "true"\nlog: none\nrestart: {delay: 0, factor: 1}',
        other="exec: sleep 1000",
    ) as zinit:
        pids = set()

        def many() -> bool:
            status = zinit.client.status("quick")
            pids.add(status["pid"])
            return len(pids) > 100

        wait_until(many, "a hundred restarts")
        zinit.wait_for_state("other", "Running")
        zinit.client.stop("quick")
        wait_until(lambda: zinit.service_pid("quick") == 0, "it is down")


def test_restarts_leave_no_descriptor_behind(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, quick='exec: "true"\nrestart: {delay: 0, factor: 1}\nready: notify'
    ) as zinit:
        wait_until(lambda: starts(zinit, "quick") > 20, "it flaps")
        zinit.client.stop("quick")
        wait_until(lambda: zinit.service_pid("quick") == 0, "it is down")
        before = count_fds(zinit.pid)
        zinit.client.start("quick")
        wait_until(lambda: starts(zinit, "quick") > 120, "a hundred restarts")
        zinit.client.stop("quick")
        wait_until(lambda: zinit.service_pid("quick") == 0, "it is down")
        wait_until(lambda: count_fds(zinit.pid) <= before, "the pipes close")


def test_no_more_processes_is_survived_and_tried_again(tmp_path: Path) -> None:
    """fork says EAGAIN: upstream gives the service up for good.

    Root is exempt from RLIMIT_NPROC, so the failpoint is the call itself.
    """
    with ZinitDaemon(tmp_path) as zinit:
        full = tmp_path / "full"
        full.touch()
        text = zinit.program.read_text()
        code = (
            "import os, errno\nold = os.posix_spawn\n"
            "def spawn(*a, **k):\n"
            f"    if os.path.exists({str(full)!r}): raise OSError(errno.EAGAIN, 'no more')\n"
            "    return old(*a, **k)\n"
            "os.posix_spawn = spawn\n"
        )
        zinit.program.write_text(
            text.replace("from zinit.client.cli", code + "from zinit.client.cli")
        )
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Failure")
        full.unlink()
        zinit.wait_for_state("a", "Running")


def test_low_descriptor_limit_is_survived(tmp_path: Path) -> None:
    """EMFILE: services that don't get their pipes are tried again, clients are still served."""
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


def test_clients_that_take_the_last_descriptor_are_turned_away(tmp_path: Path) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("a", "exec: sleep 1000")
        zinit.start(prefix=("prlimit", "--nofile=24:24"))
        zinit.wait_for_state("a", "Running")
        doors = []
        try:
            for _ in range(60):
                door = socket.socket(socket.AF_UNIX)
                door.connect(str(zinit.socket))
                doors.append(door)
            before = cpu_ticks(zinit.pid)
            assert zinit.state("a") == "Running"
            end = time.monotonic() + 0.5
            wait_until(lambda: time.monotonic() > end, "time passes")
            assert cpu_ticks(zinit.pid) - before < 20
        finally:
            for door in doors:
                door.close()
        assert zinit.state("a") == "Running"
        assert "internal error" not in zinit.said()


def test_the_last_descriptor_serves_a_client_that_asks_late(tmp_path: Path) -> None:
    """Nobody else waits: there is no reason to turn it away."""
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        used = {int(path.name) for path in Path(f"/proc/{zinit.pid}/fd").iterdir()}
        free = [number for number in range(max(used) + 2) if number not in used]
        hard = resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE, (free[0] + 1, hard))
        with socket.socket(socket.AF_UNIX) as door:
            door.settimeout(DEADLINE_S)
            door.connect(str(zinit.socket))
            wait_until(lambda: count_fds(zinit.pid) == len(used) + 1, "it is accepted")
            end = time.monotonic() + 0.2
            wait_until(lambda: time.monotonic() > end, "zinit is through with it")
            door.sendall(b"list\n")
            assert b'"a"' in door.recv(4096)
        resource.prlimit(zinit.pid, resource.RLIMIT_NOFILE, (hard, hard))


def test_memory_limit_is_survived(tmp_path: Path) -> None:
    """A small address space and a service that floods the log: lines go, the daemon stays."""
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("flood", "exec: sh -c 'head -c 30000000 /dev/zero; sleep 1000'")
        zinit.write("other", "exec: sleep 1000")
        zinit.start(prefix=("prlimit", f"--as={220 << 20}"))
        zinit.wait_for_state("other", "Running")
        wait_until(lambda: len(zinit.lines("flood")) > 10, "the flood is read")
        zinit.client.stop("other")
        zinit.wait_for_state("other", "Error(Signaled")


def test_a_flood_and_a_follower_that_never_reads_block_nobody(tmp_path: Path) -> None:
    with running_daemon(tmp_path, flood='exec: "yes"', quiet="exec: sleep 1000") as zinit:
        zinit.wait_for_state("quiet", "Running")
        with socket.socket(socket.AF_UNIX) as deaf:
            deaf.connect(str(zinit.socket))
            deaf.sendall(b"log\n")
            before = rss_kb(zinit.pid)
            for _ in range(200):
                assert zinit.client.status("quiet")["state"] in ("Running", "Spawned")
            assert rss_kb(zinit.pid) < before + 30_000
        zinit.client.stop("flood")
        zinit.wait_for_state("flood", "Error(Signaled")


def test_a_slow_follower_learns_what_it_missed(tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"while ! test -e {go}; do sleep 0.01; done"
    flood = f"exec: sh -c '{wait}; yes | head -n 200000; sleep 1000'"
    with running_daemon(tmp_path, "-b", "50", flood=flood) as zinit:
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(zinit.socket))
            slow.sendall(b"log\n")
            assert zinit.client.list()  # so it follows now
            go.touch()
            wait_until(lambda: len(zinit.lines("flood")) >= 50, "the ring is full")
            slow.settimeout(30)
            text = b""
            while b"lines dropped" not in text:
                text = text[-100:] + slow.recv(1 << 20)


@pytest.mark.parametrize(
    "script",
    [
        "printf '\\377\\376 bad \\000 nul\\n'",
        "head -c 3000000 /dev/zero | tr '\\\\0' x; echo",
        "printf 'no newline at the end'",
    ],
)
def test_any_output_is_taken(tmp_path: Path, script: str) -> None:
    """Upstream's reader ends at invalid UTF-8, and the service gets SIGPIPE."""
    (tmp_path / "say").write_text(f"{script}\necho; echo the end\n")
    with running_daemon(tmp_path, a=f"exec: sh {tmp_path}/say\noneshot: true") as zinit:
        zinit.wait_for_state("a", "Success")
        zinit.wait_for_line("[+] a: the end")
        assert max(map(len, zinit.lines())) < 9000


def test_an_idle_daemon_uses_no_processor_even_after_streams_closed(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, a="exec: sh -c 'exec >&- 2>&-; exec sleep 1000'", b="exec: sleep 1000"
    ) as zinit:
        zinit.wait_for_state("a", "Running")
        zinit.wait_for_state("b", "Running")
        # The streams may close a little later; a daemon that spins or polls is never quiet.
        wait_until(lambda: is_quiet(zinit.pid), "it sleeps for a second")


def is_quiet(pid: int) -> bool:
    """Tell whether a process is not woken for a second."""
    before = (cpu_ticks(pid), read_switches(pid))
    end = time.monotonic() + 1.0
    wait_until(lambda: time.monotonic() > end, "time passes")
    return (cpu_ticks(pid), read_switches(pid)) == before


def read_switches(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_delays_do_not_follow_the_wall_clock(tmp_path: Path) -> None:
    """Only monotonic clocks are read: the program has no way to see a jump of the wall clock."""
    sources = (TOP / "zinit").rglob("*.py")
    for source in sources:
        text = source.read_text()
        for call in ("time.time(", "CLOCK_REALTIME", "datetime"):
            assert call not in text, f"{source.name} reads the wall clock"


@pytest.mark.usefixtures("as_root")
def test_pids_that_come_round_again_never_hit_a_stranger(tmp_path: Path) -> None:
    """Signals go through pidfds: a service whose end is not yet seen does not lend its number."""
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        fds = [str(fd.readlink()) for fd in Path(f"/proc/{zinit.pid}/fd").iterdir()]
        assert any("pidfd" in link for link in fds)
        pid = zinit.service_pid("a")
        hold(zinit.pid)
        os.kill(pid, signal.SIGKILL)
        os.kill(zinit.pid, signal.SIGCONT)
        with contextlib.suppress(Exception):
            zinit.client.kill("a", "SIGKILL")
        zinit.wait_for_state("a", "Error", "Running", "Spawned")


def test_what_detached_survives_a_stop_by_default(tmp_path: Path) -> None:
    """zos starts its VMs through setsid; they must survive a stop of vmd."""
    note = tmp_path / "pid"
    with running_daemon(
        tmp_path,
        vmd=f'exec: sh -c \'setsid sh -c "echo \\$\\$ > {note}; exec sleep 1000" & '
        "exec sleep 1000'",
    ) as zinit:
        wait_until(lambda: note.exists() and note.read_text().strip(), "it detached")
        pid = int(note.read_text())
        try:
            zinit.client.stop("vmd")
            zinit.wait_for_state("vmd", "Error(Signaled")
            os.kill(pid, 0)
        finally:
            os.kill(pid, signal.SIGKILL)


@pytest.mark.usefixtures("own_cgroups")
def test_kill_cgroup_takes_what_detached_along(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    name = f"vmd-{os.getpid()}"
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write(
            name,
            f'exec: sh -c \'setsid sh -c "echo \\$\\$ > {note}; exec sleep 1000" & '
            "exec sleep 1000'\ncgroup: {kill: cgroup}",
        )
        zinit.start()
        wait_until(lambda: note.exists() and note.read_text().strip(), "it detached")
        pid = int(note.read_text())
        zinit.client.stop(name)
        zinit.wait_for_state(name, "Error(Signaled")
        wait_until(lambda: not Path(f"/proc/{pid}").exists() or is_zombie(pid), "it is gone")
    from zinit.process import cgroups

    folder = Path(cgroups.find_top()) / "zinit" / name
    wait_until(lambda: remove(folder), "the group is empty")


def remove(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        folder.rmdir()
    return not folder.exists()


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_service_that_dies_while_its_probe_hangs(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        a="exec: sh -c 'sleep 0.3; exit 1'\ntest: sleep 1000\nrestart: never",
        b="exec: sleep 1000\nafter: [a]",
    ) as zinit:
        zinit.wait_for_state("a", "Error(Exited")
        wait_until(lambda: not children_of(zinit.pid), "the probe is ended with it")
        assert zinit.state("b") == "Blocked"


def test_stop_in_spawned_and_blocked_is_prompt(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, a='exec: sleep 1000\ntest: "false"', b="exec: sleep 1000\nafter: [a]"
    ) as zinit:
        zinit.wait_for_state("a", "Spawned")
        zinit.client.stop("b")
        zinit.client.stop("a")
        wait_until(lambda: zinit.service_pid("a") == 0, "a stops")
        zinit.client.forget("a")
        zinit.client.forget("b")


def test_shutdown_while_nothing_is_ready_is_prompt(tmp_path: Path) -> None:
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


def test_a_chain_of_33_and_dependents_stop_first(tmp_path: Path) -> None:
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


def test_a_crash_loop_ends_in_crashed_and_says_why(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, a="exec: sh -c 'exit 7'\nrestart: {delay: 0.01, factor: 1, limit: 5}"
    ) as zinit:
        shown = zinit.wait_for_state("a", "Crashed(")
        assert "5 restarts in 60 s" in shown
        assert "Exited(Pid(" in shown
        assert starts(zinit, "a") == 6


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


@pytest.mark.usefixtures("as_root")
def test_a_full_disk_is_told_and_survived(tmp_path: Path) -> None:
    """The service folder, the socket and a log file on a file system with no space left."""
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
            wait_until(lambda: "lines are lost" in zinit.said(), "it is told")
            zinit.wait_for_line("[+] a: a long line for a small disk")
            request = (
                b'{"jsonrpc":"2.0","id":1,"method":"service_create",'
                b'"params":["b",{"exec":"sleep 1"}]}\n'
            )
            with socket.socket(socket.AF_UNIX) as door:
                door.connect(str(zinit.socket))
                door.sendall(request)
                assert b"successfully" in door.recv(4096)  # the folder is elsewhere
            assert zinit.said().count("lines are lost") == 1
            (disk / "fill").unlink()
            wait_until(lambda: (disk / "log").stat().st_size > 0, "it goes on")
    finally:
        os.system(f"umount -l {disk}")


def test_hostile_clients_do_not_keep_others_from_being_served(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        resource_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 1200 if resource_limit[0] > 1300 else 600
        doors = []
        try:
            for number in range(wanted):
                door = socket.socket(socket.AF_UNIX)
                door.settimeout(10)
                door.connect(str(zinit.socket))
                doors.append(door)
                if number % 3 == 0:
                    with contextlib.suppress(OSError):
                        door.sendall(b"stat")  # a line without end
                if number % 100 == 0:
                    assert zinit.state("a") == "Running"
            assert zinit.state("a") == "Running"
        finally:
            for door in doors:
                door.close()
        for poison in (
            b"x" * (8 << 20),
            b"[" * 100_000,
            b'{"a":' * 100_000,
            b'"' * 400_000,
            b"\xff\xfe\n",
            b"\0\n",
            b"{}{}[]\n",
            b"[1,2,3]\n",
            b"{" + b"\\" * 300_000,
        ):
            with socket.socket(socket.AF_UNIX) as door, contextlib.suppress(OSError):
                door.settimeout(10)
                door.connect(str(zinit.socket))
                door.sendall(poison)
                door.shutdown(socket.SHUT_WR)
                while door.recv(65536):
                    pass
            assert zinit.state("a") == "Running"
        assert "internal error" not in zinit.said()
        wait_until(lambda: count_fds(zinit.pid) < 40, "every connection is closed again")


def test_a_blocked_console_holds_nothing_up(tmp_path: Path) -> None:
    """The daemon's own output goes into a pipe that nobody reads."""
    reader, writer = os.pipe()
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write("loud", 'exec: "yes"\nlog: console')
        zinit.process = subprocess.Popen(
            [str(zinit.program), "-s", str(zinit.socket), "init", "-c", str(zinit.etc),
             "--container"],
            stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, start_new_session=True,
        )  # fmt: skip
        os.close(writer)
        wait_until(lambda: len(zinit.lines("loud")) > 1000, "the log goes on")
        zinit.client.stop("loud")
        zinit.wait_for_state("loud", "Error(Signaled")
        os.close(reader)  # now it hangs up
        zinit.client.start("loud")
        zinit.wait_for_state("loud", "Running")


def test_exceptions_in_every_handler_are_fenced(tmp_path: Path) -> None:
    """A failpoint in each entry of the daemon: told, and everything else goes on."""
    places = (
        "zinit.log.outputs.Outputs._read",
        "zinit.control.server.Server._receive",
        "zinit.process.system.RealSystem.reap",
        "zinit.life.carrier.Carrier._announce",
        "zinit.life.launcher.Launcher.work",
        "zinit.life.manager.Manager.on_exit",
    )
    for number, place in enumerate(places):
        folder = tmp_path / str(number)
        folder.mkdir()
        module, kind, method = place.rsplit(".", 2)
        with ZinitDaemon(folder) as zinit:
            flag = folder / "fail"
            code = (
                f"import os\nfrom {module} import {kind}\nold = {kind}.{method}\n"
                "def broken(*a, **k):\n"
                f"    if os.path.exists({str(flag)!r}):\n"
                f"        os.unlink({str(flag)!r})\n"
                "        raise RuntimeError('failpoint')\n"
                "    return old(*a, **k)\n"
                f"{kind}.{method} = broken\n"
            )
            text = zinit.program.read_text()
            zinit.program.write_text(
                text.replace("from zinit.client.cli", code + "from zinit.client.cli")
            )
            zinit.write("a", "exec: sh -c 'echo x; exec sleep 1000'\nrestart: {delay: 0.1}")
            zinit.start()
            zinit.wait_for_state("a", "Running")
            flag.touch()
            os.kill(zinit.running_pid("a"), signal.SIGKILL)
            zinit.write("b", "exec: sh -c 'echo y; exec sleep 1000'")
            with contextlib.suppress(Exception):
                zinit.client.monitor("b")
            wait_until(lambda: "failpoint" in zinit.said(), f"{place} fails")
            assert zinit.client.list() is not None
            zinit.write("c", "exec: sleep 1000")
            zinit.client.monitor("c")
            zinit.wait_for_state("c", "Running")
