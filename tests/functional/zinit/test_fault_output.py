"""Output of services: floods, odd bytes, slow readers, and a console that is blocked."""

import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, cpu_seconds, running_daemon


def rss_kb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0])


def test_a_flood_and_a_follower_that_never_reads_delay_nobody(tmp_path: Path) -> None:
    with running_daemon(tmp_path, flood='exec: "yes"', quiet="exec: sleep 1000") as zinit:
        zinit.wait_for_state("quiet", "Running")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(zinit.socket))
            sock.sendall(b"log\n")
            before = rss_kb(zinit.pid)
            for _ in range(200):
                assert zinit.client.status("quiet")["state"] in ("Running", "Spawned")
            assert rss_kb(zinit.pid) < before + 30_000
        zinit.client.stop("flood")
        zinit.wait_for_state("flood", "Error(Signaled")


def test_a_slow_follower_learns_how_much_it_missed(tmp_path: Path) -> None:
    go = tmp_path / "go"
    wait = f"while ! test -e {go}; do sleep 0.01; done"
    flood = f"exec: sh -c '{wait}; yes | head -n 200000; sleep 1000'"
    with running_daemon(tmp_path, "-b", "50", flood=flood) as zinit:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(zinit.socket))
            sock.sendall(b"log\n")
            assert zinit.client.list()  # the follower was served before
            go.touch()
            wait_until(lambda: len(zinit.lines("flood")) >= 50, "the ring is full")
            sock.settimeout(30)
            text = b""
            while b"lines dropped" not in text:
                text = text[-100:] + sock.recv(1 << 20)


@pytest.mark.parametrize(
    "script",
    [
        "printf '\\377\\376 bad \\000 nul\\n'",
        "head -c 3000000 /dev/zero | tr '\\\\0' x; echo",
        "printf 'no newline at the end'",
    ],
)
def test_any_output_is_read(tmp_path: Path, script: str) -> None:
    """Upstream stops reading at invalid UTF-8, and the service gets SIGPIPE."""
    (tmp_path / "say").write_text(f"{script}\necho; echo the end\n")
    with running_daemon(tmp_path, a=f"exec: sh {tmp_path}/say\noneshot: true") as zinit:
        zinit.wait_for_state("a", "Success")
        zinit.wait_for_line("[+] a: the end")
        assert max(map(len, zinit.lines())) < 9000


def test_an_idle_daemon_uses_no_cpu_even_after_services_closed_their_output(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, a="exec: sh -c 'exec >&- 2>&-; exec sleep 1000'", b="exec: sleep 1000"
    ) as zinit:
        zinit.wait_for_state("a", "Running")
        zinit.wait_for_state("b", "Running")
        # The output may be closed a little later; a daemon that spins or polls is never quiet.
        wait_until(lambda: is_quiet(zinit.pid), "it sleeps for a second")


def is_quiet(pid: int) -> bool:
    """Return whether a process is not scheduled for a second."""
    before = (cpu_seconds(pid), read_switches(pid))
    end = time.monotonic() + 1.0
    wait_until(lambda: time.monotonic() > end, "time passes")
    return (cpu_seconds(pid), read_switches(pid)) == before


def read_switches(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def test_a_blocked_console_delays_nothing(tmp_path: Path) -> None:
    """The daemon's own output goes to a pipe that is not read."""
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
