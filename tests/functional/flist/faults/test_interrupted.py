"""Ctrl-C and a closed terminal: one line on stderr, status 130, nothing half-written."""

import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.helpers.flist.faults import check_blocks, file_hashes, make_many_files, start_rfs
from tests.helpers.flist.mount import mounted, rfs, rfs_daemon
from tests.helpers.waiting import wait_until

ANSWER_WITHIN_S = 120.0
DELAYS_S = (0.0, 0.1, 0.3, 0.5, 0.8, 1.2)


@pytest.fixture(name="tree", scope="module")
def make_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a tree that takes a while to pack; one name has a newline."""
    tree = make_many_files(tmp_path_factory.mktemp("tree"), 300)
    for number in range(4):
        (tree / f"large-{number}").write_bytes(random.Random(number).randbytes(8 << 20))
    (tree / "new\nline").write_text("x")
    return tree


def interrupt_after(
    delay_s: float, begun: Path, *words: str | Path, is_group: bool
) -> tuple[int, str]:
    """Start `rfs WORDS` and interrupt it `delay_s` after it has made the file `begun`: its whole
    process group, as a terminal does, or only the process. Return status and stderr."""
    with start_rfs(*words) as process:
        wait_until(lambda: begun.exists() or process.poll() is not None, f"{begun}")
        try:
            process.wait(delay_s)
        except subprocess.TimeoutExpired:
            if is_group:
                os.killpg(process.pid, signal.SIGINT)
            else:
                process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=ANSWER_WITHIN_S)
        wait_until(
            lambda: not is_group_alive(process.pid), "the end of the workers", ANSWER_WITHIN_S
        )
        # After a signal during the exit of the interpreter the status is -SIGINT.
        is_late = process.returncode == -signal.SIGINT and "interrupted" not in said
        return 0 if is_late else process.returncode, said


def is_group_alive(group: int) -> bool:
    """Return whether a process group has any process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def find_scratch(folder: Path) -> list[Path]:
    """Return the temporary files of pack and unpack."""
    return [path for path in folder.rglob("*") if path.name.startswith((".rfs-", "."))]


@pytest.mark.parametrize("is_group", [True, False])
def test_an_interrupted_command_leaves_nothing_half_written(
    tree: Path, tmp_path: Path, is_group: bool
) -> None:
    store = f"dir://{tmp_path}/blocks"
    meta = tmp_path / "a.fl"
    for delay_s in DELAYS_S:
        shutil.rmtree(tmp_path / "blocks", ignore_errors=True)
        status, said = interrupt_after(
            delay_s, tmp_path / "blocks", "pack", "-m", meta, "-s", store, tree, is_group=is_group
        )
        assert "Traceback" not in said
        assert status in (0, 130), said
        assert meta.exists() or status == 130
        assert not find_scratch(tmp_path)
        check_blocks(tmp_path / "blocks")
        if meta.exists():  # whole, even if the signal came just after that
            rfs("verify", "-m", meta)
            break
    rfs("pack", "-m", meta, "-s", store, tree)
    for number, delay_s in enumerate(DELAYS_S):
        out = tmp_path / f"out-{number}"
        status, said = interrupt_after(delay_s, out, "unpack", "-m", meta, out, is_group=is_group)
        assert "Traceback" not in said
        assert status in (0, 130), said
        assert not find_scratch(tmp_path)
        found, whole = file_hashes(out) if out.exists() else {}, file_hashes(tree)
        assert found.items() <= whole.items()
        if status == 0:
            assert found == whole
            break
    before = meta.read_bytes()
    words = ("clone", "-m", meta, "-s", f"dir://{tmp_path}/other")
    status, said = interrupt_after(0.1, tmp_path / "other", *words, is_group=is_group)
    assert "Traceback" not in said
    assert (status, meta.read_bytes() == before) in ((0, False), (130, True))
    assert not find_scratch(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_unmounts(tmp_path: Path, adapter: str, number: signal.Signals) -> None:
    """Without that, every access to the mount point would fail from then on."""
    (tmp_path / "tree").mkdir()
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/b", tmp_path / "tree")
    with mounted(tmp_path / "a.fl", tmp_path / "m", "--adapter", adapter) as mount:
        mount.process.send_signal(number)
        assert mount.process.wait(ANSWER_WITHIN_S) == 0
        assert f" {tmp_path}/m " not in Path("/proc/mounts").read_text()
        assert mount.process.stderr is not None
        assert "Traceback" not in mount.process.stderr.read()


def test_a_mount_point_whose_process_was_killed_is_reported(tmp_path: Path, adapter: str) -> None:
    (tmp_path / "tree").mkdir()
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/b", tmp_path / "tree")
    with mounted(tmp_path / "a.fl", tmp_path / "m", "--adapter", adapter) as mount:
        mount.process.kill()
        mount.process.wait()
        done = rfs_daemon("-m", tmp_path / "a.fl", mount.path, check=False)
        assert done.returncode == 1
        assert f"hint: umount {mount.path}" in done.stderr
