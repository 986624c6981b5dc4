"""Service folders with odd entries: names, FIFOs, large files, and very long times."""

import os
import signal
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from tests.helpers.zinit.daemon import ZinitDaemon, running_daemon
from zinit.client.line import ZinitError


@pytest.mark.parametrize("name", [b"\xff", b"two\nlines", b"bell\x07"])
def test_a_name_that_cannot_be_printed_is_skipped(tmp_path: Path, name: bytes) -> None:
    with ZinitDaemon(tmp_path) as zinit:
        Path(os.fsdecode(bytes(zinit.etc) + b"/" + name + b".yaml")).write_text("exec: sleep 1000")
        zinit.write("a", "exec: sleep 1000")
        zinit.start()
        zinit.wait_for_state("a", "Running")
        assert list(zinit.client.list()) == ["a"]
        assert "is skipped" in zinit.said()
        assert "is not a valid service name" in zinit.said()
        assert zinit.client.reload() is not None
        assert "internal error" not in zinit.said()


def test_a_file_that_would_block_or_never_end_is_refused(tmp_path: Path) -> None:
    with running_daemon(tmp_path, a="exec: sleep 1000") as zinit:
        os.mkfifo(zinit.etc / "pipe.yaml")
        (zinit.etc / "zero.yaml").symlink_to("/dev/zero")
        zinit.write("long", "exec: sleep 1000\n" + "#" * (1 << 20))
        for name in ("pipe", "zero", "long"):
            with pytest.raises(ZinitError, match="failed to load service config"):
                zinit.client.monitor(name)
        assert "not a regular file" in zinit.said()
        assert "longer than 1048576 bytes" in zinit.said()
        zinit.wait_for_state("a", "Running")


def test_a_poisonous_file_does_not_keep_the_others_from_starting(tmp_path: Path) -> None:
    with running_daemon(
        tmp_path, a="exec: sleep 1000", poison=f"exec: x\nready: fd:{'9' * 5000}"
    ) as zinit:
        zinit.wait_for_state("a", "Running")
        assert "poison.yaml is skipped: line 2: expected notify, or fd:N" in zinit.said()


def test_a_path_longer_than_any_file_has_is_refused(tmp_path: Path) -> None:
    """The log writer could never be told of it, so the lines would be sent again for ever."""
    with running_daemon(tmp_path, a=f"exec: yes\nlog: {{file: {'/a' * 300_000}}}") as zinit:
        wait_until(lambda: "a.yaml is skipped" in zinit.said(), "it is refused")
        assert "line 2: a path has less than 4096 bytes" in zinit.said()


def test_a_stop_may_take_a_month(tmp_path: Path) -> None:
    """That is more milliseconds than a C int can hold."""
    stubborn = "exec: sh -c 'trap \"\" TERM; echo deaf; while :; do sleep 1; done'"
    with running_daemon(tmp_path, a=f"{stubborn}\nshutdown_timeout: 2592000") as zinit:
        zinit.wait_for_line("[+] a: deaf")
        zinit.wait_for_state("a", "Running")
        zinit.client.stop("a")
        assert zinit.state("a") == "Running"
        zinit.client.list()
        os.killpg(zinit.running_pid("a"), signal.SIGKILL)
        wait_until(lambda: zinit.service_pid("a") == 0, "it is down")
        assert "internal error" not in zinit.said()
