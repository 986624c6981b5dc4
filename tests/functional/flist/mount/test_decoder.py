"""A mount that is read in order. A second process decodes ahead; nothing depends on it."""

import errno
import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from common.processors import cpu_count
from flist.model import CHUNK_BYTES
from tests.helpers.flist.mount import END_WITHIN_S, Mounted, mounted, rfs
from tests.helpers.waiting import wait_until

FILES = 200
PAGE = 4096


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree; its flist a.fl and its blocks are beside it."""
    top = tmp_path_factory.mktemp("decoder")
    root = top / "tree"
    for number in range(FILES):
        path = root / f"folder-{number // 20:02}" / f"{number:03}"
        path.parent.mkdir(parents=True, exist_ok=True)
        same = number // 3 * 3  # some have the same content
        path.write_bytes(b"%d " % same * (1 + number * 50))
    (root / "folder-03" / "large").write_bytes(os.urandom(5 * CHUNK_BYTES + 1))
    rfs("pack", "-m", top / "a.fl", "-s", f"dir://{top}/blocks", root)
    return root


def walk(root: Path) -> Iterator[Path]:
    """Yield the files below `root` in the order of their directories' listings."""
    with os.scandir(root) as listing:
        for entry in listing:
            if entry.is_dir():
                yield from walk(Path(entry.path))
            else:
                yield Path(entry.path)


def decoder_of(mount: Mounted) -> int:
    """Return the id of a mount's decoder process."""
    if cpu_count() == 1:
        pytest.skip("with one processor there is no decoder process")
    pid = mount.process.pid
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def bytes_read_by(pid: int) -> int:
    """Return how many bytes a process has read so far."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


def has_ended(pid: int) -> bool:
    """Return whether a process is gone or a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_decoding_ahead_gives_the_right_bytes(tree: Path, tmp_path: Path) -> None:
    with mounted(tree.parent / "a.fl", tmp_path / "mnt") as mount:
        decoder = decoder_of(mount)
        before = bytes_read_by(decoder)
        for path in walk(mount.path):
            with path.open("rb") as stream:
                start = stream.read(PAGE)
                if path.name == "large":  # most of the data; it is decoded now
                    wait_until(lambda: bytes_read_by(decoder) > before + CHUNK_BYTES, "the decoder")
                found = start + stream.read()
            assert found == (tree / path.relative_to(mount.path)).read_bytes()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_walk_goes_on_without_the_decoder(tree: Path, tmp_path: Path, number: int) -> None:
    with mounted(tree.parent / "a.fl", tmp_path / "mnt") as mount:
        decoder = decoder_of(mount)
        for count, path in enumerate(walk(mount.path)):
            if count == FILES // 4:
                os.kill(decoder, number)
            assert path.read_bytes() == (tree / path.relative_to(mount.path)).read_bytes()


def test_the_decoder_ends_with_the_mount(tree: Path, tmp_path: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with mounted(tree.parent / "a.fl", tmp_path / "mnt") as mount:
            decoder = decoder_of(mount)
            for path in walk(mount.path):
                path.read_bytes()
            mount.process.send_signal(number)
            mount.process.wait(END_WITHIN_S)
            wait_until(partial(has_ended, decoder), "the decoder to end")


def test_a_damaged_block_fails_its_own_file_only(tree: Path, tmp_path: Path) -> None:
    target = tree.parent / "blocks"
    sizes = {path: path.stat().st_size for path in target.glob("*/*")}
    largest = max(sizes, key=lambda path: sizes[path])
    good = largest.read_bytes()
    largest.write_bytes(bytes([good[0] ^ 1]) + good[1:])
    failed = []
    try:
        with mounted(tree.parent / "a.fl", tmp_path / "mnt", "--wait", "0") as mount:
            for path in walk(mount.path):
                try:
                    data = path.read_bytes()
                except OSError as error:
                    failed.append((path.name, error.errno))
                else:
                    assert data == (tree / path.relative_to(mount.path)).read_bytes()
    finally:
        largest.write_bytes(good)
    assert failed == [("large", errno.EIO)]
