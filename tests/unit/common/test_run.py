"""Subprocesses that run to their end: output, errors, deadlines, interrupts."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from common.run import CommandError, run
from tests.helpers.waiting import wait_until


def test_stdout_is_returned_and_the_environment_is_extended() -> None:
    assert run(["sh", "-c", "cat; echo $A"], timeout_s=60, env={"A": "b"}, stdin=b"x") == b"xb\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["sh", "-c", "echo why >&2; exit 3"], "sh failed with status 3: why"),
        (["no-such-program"], "cannot run no-such-program: not found"),
        (["sleep", "10"], "sleep did not end within 0.1 s"),
    ],
)
def test_an_error_has_the_reason_and_the_command(argv: list[str], said: str) -> None:
    with pytest.raises(CommandError) as caught:
        run(argv, timeout_s=0.1 if argv[0] == "sleep" else 60)
    assert caught.value.message == said
    assert caught.value.hint is not None
    assert argv[0] in caught.value.hint


def test_a_missing_folder_is_not_reported_as_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot run true: No such file or directory: .*nope"):
        run(["true"], timeout_s=60, cwd=tmp_path / "nope")
    (tmp_path / "plain").write_text("")
    with pytest.raises(CommandError, match=r"plain: Permission denied$"):
        run([tmp_path / "plain"], timeout_s=60)
    with pytest.raises(CommandError, match=r"cannot run true: Argument list too long$"):
        run(["true", "x" * (1 << 22)], timeout_s=60)


# Writes more than a pipe holds, so it continues only while the output is being read. Then it
# starts a child that keeps the output open, records that, and waits for the child.
FAMILY = 'head -c 100000 /dev/zero; sleep 600 & echo > "$0"; wait'


def wait_until_gone(folder: Path) -> None:
    """Wait until no process has `folder` as its working directory."""

    def is_there(link: Path) -> bool:
        try:
            return link.readlink() == folder
        except OSError:  # the process has ended
            return False

    wait_until(lambda: not any(map(is_there, Path("/proc").glob("[0-9]*/cwd"))), "all ended")


def test_the_deadline_ends_the_whole_process_group(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(CommandError, match="did not end within 1 s"):
        run(["sh", "-c", FAMILY, "up"], timeout_s=1, cwd=tmp_path)
    assert time.monotonic() - began < 60
    wait_until_gone(tmp_path)


def test_ctrl_c_ends_the_whole_process_group(tmp_path: Path) -> None:
    def interrupt() -> None:
        wait_until((tmp_path / "up").exists, "the child runs")
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run(["sh", "-c", FAMILY, "up"], timeout_s=120, cwd=tmp_path)
    finally:
        thread.join()
    wait_until_gone(tmp_path)


def test_lines_are_passed_on_as_they_come_and_kept_for_the_message(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    said: list[str] = []

    def on_line(line: str) -> None:
        said.append(line)
        if line == "one":
            fifo.write_text("go on\n")  # the program waits for it

    script = f"echo one >&2; read -r line < {fifo}; echo out; echo two >&2; exit $STATUS"
    call = ["sh", "-c", script]
    assert run(call, timeout_s=60, env={"STATUS": "0"}, on_line=on_line) == b"out\n"
    assert said == ["one", "two"]
    with pytest.raises(CommandError, match=r"status 3: one\ntwo"):
        run(call, timeout_s=60, env={"STATUS": "3"}, on_line=on_line)
