"""What every package leans on: atomic files, errors rendered once, subprocesses with deadlines."""

import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest

from common.debian import fetch_command, fetch_packages
from common.errors import UsageError, ZosError, run_command
from common.files import check_writable, open_atomic, write_atomic
from common.notify import notify_ready
from common.run import CommandError, run
from tests.helpers.waiting import wait_until


def test_a_file_is_there_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"new", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_is_as_it_was_after_a_failure(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError), open_atomic(tmp_path / "a") as stream:
        stream.write(b"half of")
        raise RuntimeError
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "gone").symlink_to("nothing")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="no regular file"):
            write_atomic(tmp_path / name, b"data")
        with pytest.raises(OSError, match="no regular file"):
            check_writable(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()
    write_atomic(tmp_path / "gone", b"data")
    assert (tmp_path / "gone").read_bytes() == b"data"


def test_an_error_is_a_line_a_hint_and_a_status(capsys: pytest.CaptureFixture[str]) -> None:
    def fail(argv: object) -> int:
        raise ZosError("cannot do it: no", hint="try this")

    assert run_command(fail, [], "zos x") == 1
    assert capsys.readouterr().err == "zos x: cannot do it: no\n  hint: try this\n"


def test_usage_errors_and_interrupts_have_their_own_status() -> None:
    def misuse(argv: object) -> int:
        raise UsageError("what?")

    def interrupt(argv: object) -> int:
        raise KeyboardInterrupt

    assert run_command(misuse, [], "zos") == 2
    assert run_command(interrupt, [], "zos") == 130


def test_run_returns_stdout_and_passes_the_environment() -> None:
    assert run(["sh", "-c", "cat; echo $A"], timeout_s=60, env={"A": "b"}, stdin=b"x") == b"xb\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sh", "-c", "echo why >&2; exit 3"], "sh failed with status 3: why"),
        (["no-such-program"], "cannot run no-such-program: not found"),
        (["sleep", "10"], "sleep did not end within 0.1 s"),
    ],
)
def test_run_tells_what_failed_and_how_to_try_it(argv: list[str], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(argv, timeout_s=0.1 if argv[0] == "sleep" else 60)
    assert caught.value.message == said
    assert caught.value.hint is not None
    assert argv[0] in caught.value.hint


def test_run_tells_a_missing_folder_from_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot run true: No such file or directory: .*nope"):
        run(["true"], timeout_s=60, cwd=tmp_path / "nope")
    (tmp_path / "plain").write_text("")
    with pytest.raises(CommandError, match=r"plain: Permission denied$"):
        run([tmp_path / "plain"], timeout_s=60)
    with pytest.raises(CommandError, match=r"cannot run true: Argument list too long$"):
        run(["true", "x" * (1 << 22)], timeout_s=60)


# Says more than a pipe holds, so that somebody listens when it goes on; then starts a child that
# holds the output open, notes that, and waits for it.
FAMILY = 'head -c 100000 /dev/zero; sleep 600 & echo > "$0"; wait'


def wait_until_gone(folder: Path) -> None:
    """Wait until nothing that was started in `folder` is left."""

    def is_there(link: Path) -> bool:
        try:
            return link.readlink() == folder
        except OSError:  # it has ended
            return False

    wait_until(lambda: not any(map(is_there, Path("/proc").glob("[0-9]*/cwd"))), "the family ends")


def test_run_ends_the_whole_family_at_the_deadline(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CommandError, match="did not end within 1 s"):
        run(["sh", "-c", FAMILY, "up"], timeout_s=1, cwd=tmp_path)
    assert time.monotonic() - began < 60
    wait_until_gone(tmp_path)


def test_ctrl_c_ends_the_whole_family(tmp_path: Path) -> None:
    def interrupt() -> None:
        wait_until((tmp_path / "up").exists, "the family is up")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(["sh", "-c", FAMILY, "up"], timeout_s=120, cwd=tmp_path)
    finally:
        thread.join()
    wait_until_gone(tmp_path)


def test_notify_ready_reaches_the_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify_ready("up")
        assert manager.recv(100) == b"READY=1\nSTATUS=up"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_notify_ready_without_a_manager(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify_ready()


@pytest.mark.parametrize("is_root", [True, False])
def test_packages_are_fetched_with_and_without_root(is_root: bool) -> None:
    words = fetch_command(["a", "b"], "main", is_root=is_root)
    assert words[0] == "mmdebstrap"
    assert "--include=a,b" in words
    assert ("--mode=chrootless" in words) is not is_root


def test_packages_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    program = tmp_path / "mmdebstrap"
    program.write_text("#!/bin/sh\necho E: no mirror >&2\nexit 25\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(CommandError, match=r"cannot fetch packages: .* 25: E: no mirror") as caught:
        fetch_packages(["busybox"])
    hint = caught.value.hint or ""
    assert hint.startswith("mmdebstrap ")
    assert hint.endswith(" trixie /dev/null")  # it can be pasted
