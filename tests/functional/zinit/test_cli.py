"""The `zinit` command when no daemon, or another program, answers; and its flags."""

import itertools
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.waiting import DEADLINE_S
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon
from zinit.client.errors import ZinitError, collect

REQUESTS = (
    ("list",), ("status", "a"), ("start", "a"), ("restart", "a"), ("stats", "a"), ("proxy",),
    ("analyze",), ("analyze", "plot"), ("reload",), ("reload", "a"), ("shutdown",),
)  # fmt: skip
HINT = "  hint: is it running? -s names another socket\n"


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[tuple[ZinitDaemon, list[bytes]]]:
    """A program that answers every request on zinit's socket with the bytes in the list."""
    zinit = ZinitDaemon(tmp_path)
    answer = [b""]
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(zinit.socket))
        sock.listen()

        def serve() -> None:
            while True:
                try:
                    client = sock.accept()[0]
                except OSError:
                    return
                with client:
                    client.recv(65536)
                    client.sendall(answer[0])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield zinit, answer
        finally:
            sock.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage",
        b"{}",
        b"[]\n",
        b'{"state":"ok"}\n',
        b'{"state":"ok","body":5}\n',
        b'{"state":"ok","body":{"a":1}}\n',
        b'{"state":"error","body":null}\n',
        b'{"jsonrpc":"2.0","id":1,"result":5}\n',
        b'{"jsonrpc":"2.0","id":1,"error":5}\n',
        b"\xff\xfe\n",
        b"[" * 200_000,
    ],
)
def test_an_answer_of_another_program_is_a_short_error(
    peer: tuple[ZinitDaemon, list[bytes]], answer: bytes
) -> None:
    zinit, said = peer
    said[0] = answer
    for words in REQUESTS:
        done = zinit.cli(*words)
        assert done.returncode in (0, 1), words
        assert "Traceback" not in done.stderr, words
        assert len(done.stderr.splitlines()) <= 2


def test_an_answer_without_an_end_is_an_error() -> None:
    with pytest.raises(ZinitError, match="cannot understand zinit's answer: xxx"):
        collect(itertools.repeat(b"x" * 65536), None)
    with pytest.raises(ZinitError, match="cannot understand zinit's answer: xxx"):
        collect(itertools.repeat(b"x"), 0.2)
    assert collect([b"a", b"b"], 30) == b"ab"


def test_a_socket_without_a_daemon_is_an_error(tmp_path: Path) -> None:
    zinit = ZinitDaemon(tmp_path)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(zinit.socket))
    for words in (*REQUESTS, ("log",)):
        done = zinit.cli(*words)
        text = f"cannot talk to zinit on {zinit.socket}: Connection refused\n{HINT}"
        assert (done.returncode, done.stdout, done.stderr) == (1, "", text)


def test_flags_are_taken_in_every_way_that_upstream_takes_them(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        zinit.wait_for_state("a", "Running")
        for flag in (
            (f"-s{zinit.socket}",),
            (f"-s={zinit.socket}",),
            (f"--socket={zinit.socket}",),
        ):
            assert zinit.cli(*flag, "list").stdout == "---\na: Running\n"
        for words in (("--help",), ("-h",), ("status", "--help"), ("kill", "a", "-h")):
            done = zinit.cli(*words)
            assert (done.returncode, done.stdout[:12]) == (0, "usage: zinit"), words
        for words in (("list", "-x"), ("log", "-sx"), ("log", "--snapshot=a"), ("list", "a")):
            done = zinit.cli(*words)
            assert (done.returncode, done.stdout) == (1, ""), words
            assert "which wasn't expected" in done.stderr


IN_ROOT = {
    "good": "exec: prog\nuser: farmer\ndir: /srv\n",
    "link": "exec: /bin/out\n",
    "none": "exec: sh\nuser: root\ndir: /tmp\n",
    "own": "exec: sh\nroot: /mnt\nuser: nobody\n",
}
FOUND_IN_ROOT = """\
link.yaml:1: warning: exec: there is no program '/bin/out' in ROOT
none.yaml:1: warning: exec: there is no program 'sh' in ROOT
none.yaml:2: warning: there is no user 'root' in ROOT
none.yaml:3: warning: there is no folder '/tmp' in ROOT
"""


def test_check_escapes_what_would_control_a_terminal(tmp_path: Path) -> None:
    zinit = ZinitDaemon(tmp_path)
    (zinit.etc / "red\x1b[31m.yaml").write_text("exec: sleep 1")
    done = zinit.cli("check", str(zinit.etc))
    assert done.returncode == 1
    assert f"{zinit.etc}/red\\x1b[31m.yaml: error: " in done.stdout
    assert "\x1b" not in done.stdout


def test_check_judges_services_by_another_root(tmp_path: Path) -> None:
    zinit, root = ZinitDaemon(tmp_path), tmp_path / "root"
    for name in ("etc/zinit", "bin", "srv"):
        (root / name).mkdir(parents=True)
    (root / "bin/prog").write_text("#!/bin/sh\n")
    (root / "bin/prog").chmod(0o755)
    (root / "bin/out").symlink_to("../../../../../../../../bin/sh")  # ends at the root itself
    (root / "etc/passwd").write_text("farmer:x:7:7::/:/bin/sh\n")
    for name, text in IN_ROOT.items():
        (root / f"etc/zinit/{name}.yaml").write_text(text)
    done = zinit.cli("check", "--root", str(root))
    assert done.stdout.replace(f"{root}/etc/zinit/", "").replace(str(root), "ROOT") == FOUND_IN_ROOT
    assert done.returncode == 0
    refused = zinit.cli("check", "--root", str(tmp_path / "nowhere"), str(root / "etc/zinit"))
    assert refused.returncode == 1
    assert refused.stderr == f"cannot read {tmp_path / 'nowhere'}: Not a directory\n"


def imported(*words: str | Path) -> set[str]:
    """Return the modules that Python imports to run `words`."""
    call = [sys.executable, "-X", "importtime", *map(str, words)]
    run = subprocess.run(call, capture_output=True, text=True, timeout=DEADLINE_S)
    return {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if "|" in line}


def test_the_installed_command_starts_a_daemon_with_its_own_modules_only() -> None:
    program = Path(sys.executable).with_name("zinit")
    names = imported(program, "init", "--buffer", "none") - imported("-c", "pass")
    assert "zinit.daemon" in names
    others = {name for name in names if name.partition(".")[0] != "zinit"}
    assert others <= {"_collections", "_heapq", "_operator", "_socket", "gc", "select"}
