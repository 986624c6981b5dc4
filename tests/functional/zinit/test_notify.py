"""Readiness: the service's processes may report it, whatever user they run as, and no others."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon
from zinit.process.senders import is_descendant, is_from

SEND = """\
import os, socket, time
ADDRESS = os.environ['NOTIFY_SOCKET'].replace('@', chr(0), 1)
def send(data=b'READY=1'):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, ADDRESS)
"""
DROP = SEND + "os.setgid(65534); os.setuid(65534); send(); time.sleep(1000)\n"
ORPHAN = SEND + (
    "if os.fork() == 0:\n"
    "    os.setsid(); os.setgid(65534); os.setuid(65534)\n"
    "    send(); time.sleep(1000)\n"
    "time.sleep(1000)\n"
)
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root to change the user")


def write_script(folder: Path, name: str, code: str) -> str:
    """Write a program; return the command that runs it."""
    path = folder / f"{name}.py"
    path.write_text(code)
    return f"{sys.executable} -IS {path}"


@pytest.mark.parametrize("code", [DROP, ORPHAN], ids=["drops privileges", "child of its own"])
def test_a_program_that_drops_its_privileges_becomes_ready(tmp_path: Path, code: str) -> None:
    command = write_script(tmp_path, "drop", code)
    with running_daemon(tmp_path, a=f"exec: {command}\nready: notify") as zinit:
        zinit.wait_for_state("a", "Running")


def test_strangers_are_ignored_even_with_the_services_user(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000\nready: notify\nuser: nobody") as zinit:
        address = read_address(zinit)
        with start_stranger(address) as stranger:
            try:
                assert stranger.stdout is not None
                assert stranger.stdout.readline() == b"sent\n"
                zinit.state("a")  # answered in a turn of the loop that also reads the datagram
                assert zinit.state("a") == "Spawned"
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                    own.sendto(b"READY=1", address)  # root may
                zinit.wait_for_state("a", "Running")
            finally:
                stranger.kill()


def read_address(zinit: ZinitDaemon) -> str:
    """Return the address that the service `a` was told."""
    pid = zinit.running_pid("a")
    words = wait_until(
        lambda: [
            word
            for word in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            if word.startswith(b"NOTIFY_SOCKET=")
        ],
        "the service's environment",
    )
    return words[0].partition(b"=")[2].decode().replace("@", "\0", 1)


def start_stranger(address: str) -> "subprocess.Popen[bytes]":
    """Start a process of the service's user that sends READY=1 and stays."""
    code = (
        "import os, socket, sys, time\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:\n"
        "    sender.sendto(b'READY=1', chr(0) + sys.argv[1])\n"
        "print('sent', flush=True)\n"
        "time.sleep(1000)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-IS", "-c", code, address[1:]],
        stdout=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )


def test_a_sender_that_has_ended_is_known_by_its_user() -> None:
    child = subprocess.Popen([sys.executable, "-IS", "-c", ""])
    child.wait()
    ended = child.pid.to_bytes(4, "little") + (1234).to_bytes(4, "little") + bytes(4)
    assert is_from(os.getpid(), ended, (0, 0, 1234))
    assert not is_from(os.getpid(), ended, (0, 0, 4321))
    assert not is_descendant(1, os.getpid())
