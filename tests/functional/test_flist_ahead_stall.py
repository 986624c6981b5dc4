"""A mount whose store never answers ends when it is told to, whatever it is fetching ahead."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.flist_faults import FaultyServer, faulty_server, make_many_files, pack_into
from tests.helpers.flist_mount import Mounted, mounted
from tests.helpers.waiting import wait_until

END_WITHIN_S = 5.0


@pytest.fixture(name="meta")
def make_packed(tmp_path: Path) -> Path:
    return pack_into(tmp_path, make_many_files(tmp_path / "tree", 200, size=200))


@pytest.fixture(name="server")
def make_server(tmp_path: Path) -> Iterator[FaultyServer]:
    with faulty_server(tmp_path / "blocks") as server:
        server.break_with("stall")
        yield server


def end_by_signal(mount: Mounted, reader: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, with a reader that waits."""
    del reader
    mount.process.send_signal(signal.SIGTERM)


def end_by_umount(mount: Mounted, reader: "subprocess.Popen[bytes]") -> None:
    """`umount`, which refuses while there are readers."""
    reader.kill()
    reader.wait(END_WITHIN_S)
    subprocess.run(["umount", mount.path], check=True, timeout=END_WITHIN_S)


@pytest.mark.parametrize("ending", [end_by_signal, end_by_umount])
@pytest.mark.parametrize("is_replaying", [False, True], ids=["guessing", "replaying"])
def test_a_mount_ends_while_a_stalled_store_is_asked_ahead(
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
            wait_until(lambda: server.asked > 2, "what is fetched ahead", 20)
            pid = mount.process.pid
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            assert callable(ending)
            ending(mount, reader)
            status = mount.process.wait(END_WITHIN_S)
            assert reader.wait(END_WITHIN_S) != 0
        assert status == 0
        assert not os.path.ismount(mount.path)
        everybody = [Path("/proc", left) for left in (str(pid), *children)]
        wait_until(lambda: not any(path.exists() for path in everybody), "every process's end", 5)
