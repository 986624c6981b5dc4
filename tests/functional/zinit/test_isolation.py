"""Users, limits, capabilities, terminals, namespaces, control groups and log files."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.needs import lack, need_tool
from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, remove_folder, running_daemon
from zinit.process import cgroups

pytestmark = pytest.mark.usefixtures("as_root")
SHOW = "exec: cat /proc/self/status\noneshot: true\n"


def status_of(zinit: ZinitDaemon, name: str) -> dict[str, str]:
    """Return the fields of /proc/self/status that a service printed."""
    zinit.wait_for_state(name, "Success")
    wait_until(lambda: any("CapAmb" in line for line in zinit.lines(name)), "its status")
    rows = (line.removeprefix(f"[+] {name}: ").partition(":") for line in zinit.lines(name))
    return {key: " ".join(value.split()) for key, _, value in rows}


def test_users_and_groups(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        name=SHOW + "user: daemon",
        number=SHOW + "user: '4242'\ngroup: '4343'\ngroups: ['1', '2']",
        env="exec: env\noneshot: true\nuser: daemon\nenv: {HOME: /mine}",
        nobody=SHOW + "user: there-is-no-such-user",
    ) as zinit:
        status = status_of(zinit, "name")
        assert status["Uid"].split()[0] == status["Gid"].split()[0] == "1"
        assert int(status["CapEff"], 16) == 0
        status = status_of(zinit, "number")
        assert status["Uid"] == "4242 4242 4242 4242"
        assert status["Gid"] == "4343 4343 4343 4343"
        assert status["Groups"] == "1 2 4343"
        zinit.wait_for_line("[+] env: USER=daemon")
        zinit.wait_for_line("[+] env: HOME=/mine")
        zinit.wait_for_state("nobody", "Failure")
        assert "nobody: cannot start: there is no user 'there-is-no-such-user'" in zinit.said()


def test_users_of_a_root_that_is_hostile_do_not_block_zinit(tmp_path: Path) -> None:
    for name in ("fifo", "endless"):
        (tmp_path / name / "etc").mkdir(parents=True)
    os.mkfifo(tmp_path / "fifo" / "etc" / "passwd")
    os.mknod(tmp_path / "endless" / "etc" / "passwd", 0o020666, os.makedev(1, 5))
    with running_daemon(
        tmp_path,
        fifo=f"exec: /true\nroot: {tmp_path}/fifo\nuser: web\nready: notify",
        endless=f"exec: /true\nroot: {tmp_path}/endless\nuser: web",
        good="exec: sleep 1000",
    ) as zinit:
        zinit.wait_for_state("good", "Running")
        zinit.wait_for_state("fifo", "Failure")
        zinit.wait_for_state("endless", "Failure")
        assert "/fifo/etc/passwd: Not a regular file" in zinit.said()


def test_a_service_with_a_user_can_open_its_output(tmp_path: Path) -> None:
    script = "echo one > /dev/stdout; echo two > /dev/stderr"
    with running_daemon(
        tmp_path,
        a=f"exec: sh -c '{script}'\noneshot: true\nuser: nobody",
        quiet="exec: 'true'\noneshot: true\nuser: nobody\nlog: none",
    ) as zinit:
        zinit.wait_for_line("[+] a: one")
        zinit.wait_for_line("[-] a: two")
        zinit.wait_for_state("quiet", "Success")
        assert Path("/dev/null").stat().st_uid == 0


def test_capabilities_and_no_new_privileges(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        some=SHOW + "user: daemon\ncapabilities: [NET_BIND_SERVICE, CAP_CHOWN]",
        none=SHOW + "capabilities: []\nno_new_privileges: true",
    ) as zinit:
        wanted = 1 << 10 | 1 << 0
        status = status_of(zinit, "some")
        for key in ("CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[key], 16) == wanted, key
        status = status_of(zinit, "none")
        assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
        assert status["NoNewPrivs"] == "1"


def test_limits(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path,
        a="exec: sh -c 'ulimit -n; ulimit -Hn; ulimit -c'\noneshot: true\n"
        "limits: {nofile: 99:111, core: 0}",
    ) as zinit:
        wait_until(lambda: len(zinit.lines("a")) == 4, "three lines")
        assert [line.split()[-1] for line in zinit.lines("a")[1:]] == ["99", "111", "0"]


def test_a_service_with_a_terminal(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        with running_daemon(
            tmp_path,
            login="exec: sh -c 'tty; ps -o tty= -p $$; exec sleep 1000'\n"
            f"tty: {os.ttyname(theirs)}",
        ) as zinit:
            zinit.wait_for_state("login", "Running")
            seen = b""
            while seen.count(b"\n") < 2:
                seen += os.read(ours, 4096)
            name = os.ttyname(theirs)
            assert seen.split() == [name.encode(), name.removeprefix("/dev/").encode()]
    finally:
        os.close(ours)
        os.close(theirs)


NOTIFY = """
import os, socket, time
address = os.environ["NOTIFY_SOCKET"].replace("@", chr(0), 1)
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", address)
time.sleep(1000)
"""


def test_a_network_namespace(tmp_path: Path) -> None:
    name = f"zinit-test-{os.getpid()}"
    need_tool("ip")
    added = subprocess.run(["ip", "netns", "add", name], check=False, capture_output=True)
    if added.returncode:
        lack(f"network namespaces can't be made here: {added.stderr.decode()}")
    try:
        notify = tmp_path / "notify"
        notify.write_text(NOTIFY)
        with running_daemon(
            tmp_path,
            ready=f"exec: {sys.executable} -IS {notify}\nready: notify\nnetns: {name}",
            mounts="exec: sleep 1\nready: notify\nnetns: /proc/self/ns/mnt",
            inside=f"exec: ls /sys/class/net /proc/self/ns/net -d\noneshot: true\nnetns: {name}",
            links=f"exec: cat /proc/net/dev\noneshot: true\nnetns: {name}",
            outside="exec: sleep 1\nnetns: there-is-no-such-namespace",
        ) as zinit:
            zinit.wait_for_state("links", "Success")
            wait_until(lambda: len(zinit.lines("links")) >= 4, "the list of links")
            links = [line.split()[2] for line in zinit.lines("links")[3:]]
            assert links == ["lo:"]
            zinit.wait_for_state("outside", "Failure")
            zinit.wait_for_state("mounts", "Failure")
            zinit.wait_for_state("ready", "Running")
            ours, theirs = (Path(f"/proc/{pid}/ns/net") for pid in ("self", zinit.pid))
            assert ours.readlink() == theirs.readlink(), "zinit stays in its namespace"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.mark.usefixtures("own_cgroups")
def test_control_groups(tmp_path: Path) -> None:
    name = f"limited-{os.getpid()}"
    with ZinitDaemon(tmp_path) as zinit:
        zinit.write(name, "exec: sleep 1000\ncgroup: {memory: 64M, cpu: 50%, pids: 20}")
        zinit.start()
        zinit.wait_for_state(name, "Running")
        folder = Path(cgroups.find_top()) / "zinit" / name
        members = folder / "cgroup.procs"
        pid = str(zinit.running_pid(name))
        wait_until(lambda: members.read_text().split() == [pid], "it is in its group")
        controllers = (folder / "cgroup.controllers").read_text().split()
        for controller, file, text in (
            ("memory", "memory.max", str(64 << 20)),
            ("cpu", "cpu.max", "50000 100000"),
            ("pids", "pids.max", "20"),
        ):
            if controller in controllers:
                assert (folder / file).read_text().strip() == text
            else:
                assert f"{name}: cannot limit {file}" in zinit.said()
    wait_until(lambda: remove_folder(folder), "the group is empty")


def test_log_files_are_rotated(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    with running_daemon(
        tmp_path,
        a="exec: sh -c 'for i in $(seq 2000); do echo line $i; done; exec sleep 1000'\n"
        f"log: {{file: {log}, size: 8K, keep: 2}}",
    ):
        wait_until(lambda: "line 2000\n" in log.read_text(), "it is written")
        names = sorted(path.name for path in log.parent.iterdir())
        assert names == ["a.log", "a.log.1", "a.log.2"]
        assert all(path.stat().st_size <= 8192 for path in log.parent.iterdir())
        kept = [path.read_text().split("\n") for path in (log.parent / "a.log.1", log)]
        assert kept[1][-2] == "line 2000"
        assert int(kept[0][-2].split()[1]) + 1 == int(kept[1][0].split()[1])


CHATTY = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
print("go", flush=True)
signal.sigwait([signal.SIGTERM])
os.write(1, b"0123456\\n" * 8000)
"""


def test_a_removed_log_file_is_begun_anew(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.log"
    text = f"exec: sh -c 'echo begins; exec sleep 1000'\nlog: {{file: {log}}}"
    with running_daemon(tmp_path, a=text) as zinit:
        wait_until(lambda: log.exists() and log.read_text() == "begins\n", "it is written")
        for command in (["reopen-logs"], ["reload"], ["restart", "a"], ["reexec"]):
            log.unlink()
            assert zinit.cli(*command).returncode == 0
            wait_until(log.exists, f"{command} begins it anew")


def test_output_during_a_shutdown_reaches_the_log_file(tmp_path: Path) -> None:
    """A pipe holds 64 KiB, which is more than one read returns."""
    script, log = tmp_path / "chatty", tmp_path / "chatty.log"
    script.write_text(CHATTY)
    chatty = f"exec: {sys.executable} -IS {script}\nlog: {{file: {log}}}"
    with running_daemon(tmp_path, chatty=chatty) as zinit:
        zinit.wait_for_line("[+] chatty: go")
        assert zinit.end() == 0
    assert log.read_text().split() == ["go", *["0123456"] * 8000]


def test_any_descriptor_may_report_readiness(tmp_path: Path) -> None:
    """Also the number that the child would use to report its own errors."""
    numbers = range(3, 40)
    with ZinitDaemon(tmp_path) as zinit:
        for number in numbers:
            gone = f"exec: /does/not/exist\nready: fd:{number}\nlimits: {{core: 0}}"
            zinit.write(f"gone{number}", gone)
            there = f"exec: bash -c 'echo >&{number}; exec sleep 1000'\nready: fd:{number}"
            zinit.write(f"there{number}", f"{there}\nlimits: {{core: 0}}")
        zinit.start()
        for number in numbers:
            zinit.wait_for_state(f"gone{number}", "Failure")
            zinit.wait_for_state(f"there{number}", "Running")


def test_reload_of_one_service(tmp_path: Path) -> None:
    trap = 'trap "echo again" HUP; echo up; while :; do sleep 0.05; done'
    with running_daemon(
        tmp_path,
        a=f"exec: sh -c '{trap}'\nreload: SIGHUP",
        b="exec: sleep 1000\nreload: echo by command",
        c="exec: sleep 1000",
    ) as zinit:
        for name in "abc":
            zinit.wait_for_state(name, "Running")
        zinit.wait_for_line("[+] a: up")  # before, the signal would end it
        assert zinit.cli("reload", "a").returncode == 0
        zinit.wait_for_line("[+] a: again")
        assert zinit.cli("reload", "b").returncode == 0
        zinit.wait_for_line("[+] b/reload: by command")
        refused = zinit.cli("reload", "c")
        assert (refused.returncode, refused.stderr) == (1, 'service "c" has no reload key\n')


def test_the_watchdog_with_a_real_service(tmp_path: Path) -> None:
    script = tmp_path / "dog.py"
    script.write_text(
        "import os, socket, time\n"
        "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
        "s.connect(os.environ['NOTIFY_SOCKET'].replace('@', chr(0)))\n"
        "assert os.environ['WATCHDOG_USEC'] == '4000000'\n"
        "s.send(b'READY=1')\n"
        "for _ in range(10):\n    time.sleep(0.5)\n    s.send(b'WATCHDOG=1')\n"
        "print('was kept up', flush=True)\n"
        "time.sleep(1000)\n"
    )
    with running_daemon(
        tmp_path,
        a=f"exec: {sys.executable} -IS {script}\nready: notify\nwatchdog: 4\nrestart: never",
    ) as zinit:
        zinit.wait_for_state("a", "Running")
        shown = zinit.wait_for_state("a", "Error(Signaled")
        assert "SIGABRT" in shown
        assert "a: did not ping its watchdog for 4 s" in zinit.said()
        assert "[+] a: was kept up" in zinit.lines("a")
