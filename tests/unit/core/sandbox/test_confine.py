"""Confined processes: what works, and what the kernel refuses."""

import ctypes
import errno
import os
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from core.places import CAPACITY
from core.sandbox import confine as confining
from core.sandbox.confine import confine
from core.sandbox.profile import INTERNET, LOCAL, Profile
from core.sandbox.status import SandboxError, parse_status
from tests.helpers.child import run_in_child
from tests.helpers.needs import need_root

PLAIN = Profile("capacity", CAPACITY)
CAPABILITIES = 41
PR_CAPBSET_DROP = 24


def become(profile: Profile) -> None:
    """Do what zinit does for a service."""
    libc = ctypes.CDLL(None)
    for number in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    os.setgroups([])
    os.setresgid(*[profile.user.number] * 3)
    os.setresuid(*[profile.user.number] * 3)


def confined(work: Callable[[], None], profile: Profile = PLAIN) -> None:
    need_root()

    def child() -> None:
        become(profile)
        confine(profile)
        work()

    run_in_child(child)


def fails_with(code: int, work: Callable[[], object]) -> None:
    with pytest.raises(OSError) as caught:
        work()
    assert caught.value.errno == code


def test_what_a_daemon_does_still_works() -> None:
    def work() -> None:
        seen: list[str] = []
        thread = threading.Thread(target=lambda: seen.append("thread"))
        thread.start()
        thread.join()
        assert seen == ["thread"]
        first, second = socket.socketpair()
        first.sendall(b"x")
        assert second.recv(1) == b"x"
        with tempfile.TemporaryDirectory(dir="/tmp") as folder:
            draft = Path(folder, "draft")
            draft.write_text("text")
            assert draft.replace(draft.with_name("file")).read_text() == "text"

    confined(work)


def test_no_program_runs_and_no_process_is_made() -> None:
    def work() -> None:
        fails_with(errno.EPERM, os.fork)
        fails_with(errno.EPERM, lambda: os.execv(sys.executable, [sys.executable]))
        fails_with(errno.EPERM, lambda: subprocess.run([sys.executable, "-V"], check=False))

    confined(work)


def test_a_daemon_that_runs_programs_may() -> None:
    def work() -> None:
        told = subprocess.run(["/bin/sh", "-c", "echo hello"], capture_output=True, check=True)
        assert told.stdout == b"hello\n"

    confined(work, Profile("capacity", CAPACITY, has_programs=True))


def test_only_the_profile_s_sockets_are_made() -> None:
    def work() -> None:
        socket.socket(socket.AF_UNIX).close()
        for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET):
            fails_with(errno.EAFNOSUPPORT, lambda family=family: socket.socket(family))  # type: ignore[misc]

    confined(work)

    def internet() -> None:
        socket.socket(socket.AF_INET).close()
        fails_with(errno.EAFNOSUPPORT, lambda: socket.socket(socket.AF_PACKET))

    confined(internet, Profile("capacity", CAPACITY, families=LOCAL | INTERNET))


def test_the_system_is_out_of_reach() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    calls = {
        "mount": (b"none", b"/", b"tmpfs", 0, None),
        "unshare": (0x10000000,),
        "ptrace": (0, 0, None, None),
        "setns": (0, 0),
        "reboot": (0,),
        "sethostname": (b"x", 1),
    }

    def work() -> None:
        for name, arguments in calls.items():
            ctypes.set_errno(0)
            assert getattr(libc, name)(*arguments) == -1
            assert ctypes.get_errno() == errno.ENOSYS, name

    confined(work)


def test_it_can_leave_no_dump_and_gain_nothing() -> None:
    def work() -> None:
        assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
        fields = parse_status(Path("/proc/self/status").read_text())
        assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")

    confined(work)


def test_root_is_not_confined_but_refused() -> None:
    need_root()

    def work() -> None:
        with pytest.raises(SandboxError, match="its user is 0"):
            confine(PLAIN)

    run_in_child(work)


def test_nothing_runs_if_the_filter_can_t_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    need_root()
    monkeypatch.setitem(sys.modules, "pyseccomp", None)

    def work() -> None:
        become(PLAIN)
        with pytest.raises(SandboxError, match="cannot limit system calls"):
            confine(PLAIN)

    run_in_child(work)


def test_a_host_may_do_without_if_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(confining.UNCONFINED, "1")
    confine(PLAIN)
    assert "unconfined" in capsys.readouterr().err
