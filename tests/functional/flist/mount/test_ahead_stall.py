"""A mount whose store never answers ends when asked to, whatever it is fetching ahead."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.flist.faults import FaultyServer, faulty_server, make_many_files, pack_into
from tests.helpers.flist.mount import Mounted, mounted
from tests.helpers.waiting import wait_until

END_WITHIN_S = 15.0
"""A request without an answer takes 20 s."""
ENDED_AFTER_S = tuple(0.012 * step for step in range(12))
"""After the mount is up. Reading the whole trace takes about as long as the last one."""


@pytest.fixture(name="meta")
def make_packed(tmp_path: Path) -> Path:
    return pack_into(tmp_path, make_many_files(tmp_path / "tree", 200, size=200))


@pytest.fixture(name="server")
def make_server(tmp_path: Path) -> Iterator[FaultyServer]:
    with faulty_server(tmp_path / "blocks") as server:
        server.break_with("stall")
        yield server


def end_by_signal(mount: Mounted, reader: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM while a reader waits."""
    del reader
    mount.process.send_signal(signal.SIGTERM)


def end_by_umount(mount: Mounted, reader: "subprocess.Popen[bytes]") -> None:
    """Unmount, after the reader has ended: umount refuses while there is one."""
    reader.kill()
    reader.wait(END_WITHIN_S)
    subprocess.run(["umount", mount.path], check=True, timeout=END_WITHIN_S)


@pytest.mark.parametrize("ending", [end_by_signal, end_by_umount])
@pytest.mark.parametrize("is_replaying", [False, True], ids=["guessing", "replaying"])
def test_a_mount_ends_while_it_fetches_ahead_from_a_stalled_store(
    meta: Path, server: FaultyServer, tmp_path: Path, is_replaying: bool, ending: object
) -> None:
    words: list[str | Path] = ["--store", server.url, "-c", tmp_path / "cache", "--wait", "60"]
    if is_replaying:
        trace = tmp_path / "trace"
        trace.write_text("".join(f"{ino} 0\n" for ino in range(2, 300)))
        words += ["--replay", trace]
    with mounted(meta, tmp_path / "m", *words) as mount:
        file = next((mount.path / "folder-0").iterdir())
        with subprocess.Popen(["cat", file], stderr=subprocess.DEVNULL) as reader:
            wait_until(lambda: server.asked > 2, "requests ahead", 20)
            pid = mount.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            assert callable(ending)
            ending(mount, reader)
            status = mount.process.wait(END_WITHIN_S)
            assert reader.wait(END_WITHIN_S) != 0
        assert status == 0
        assert not os.path.ismount(mount.path)
        everybody = [Path("/proc", left) for left in (str(pid), *children)]
        wait_until(
            lambda: not any(path.exists() for path in everybody),
            "the end of every process",
            END_WITHIN_S,
        )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_does_not_wait_for_a_stalled_read(
    meta: Path, server: FaultyServer, tmp_path: Path, number: signal.Signals, adapter: str
) -> None:
    words = ("--adapter", adapter, "--store", server.url, "--wait", "60")
    with mounted(meta, tmp_path / "m", *words) as mount:
        file = next((mount.path / "folder-0").iterdir())
        with subprocess.Popen(["cat", file], stderr=subprocess.DEVNULL) as reader:
            wait_until(lambda: server.asked > 0, "a request")
            mount.process.send_signal(number)
            assert mount.process.wait(END_WITHIN_S) == 0
            assert reader.wait(END_WITHIN_S) != 0
        assert not os.path.ismount(mount.path)


def test_a_mount_ends_cleanly_at_every_moment_of_a_replay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each moment once had a chance of one in five to end in SIGSEGV, or to hang."""
    monkeypatch.setenv("PYTHONFAULTHANDLER", "1")
    meta = pack_into(tmp_path, make_many_files(tmp_path / "tree", 1500, size=200))
    trace = tmp_path / "trace"
    trace.write_text("".join(f"{ino} 0\n" for ino in range(2, 1500)))
    with faulty_server(tmp_path / "blocks") as server:
        server.break_with("stall")
        words = ("--store", server.url, "-c", tmp_path / "cache", "--wait", "60", "--replay", trace)
        for pause_s in ENDED_AFTER_S:
            with mounted(meta, tmp_path / "m", *words) as mount:
                time.sleep(pause_s)
                mount.process.send_signal(signal.SIGTERM)
                _, said = mount.process.communicate(timeout=END_WITHIN_S)
                assert (mount.process.returncode, said) == (0, "")
