"""Full disks: a small tmpfs under the cache, the store, the flist and the target."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.helpers.flist.faults import (
    check_blocks,
    faulty_server,
    file_hashes,
    make_many_files,
    pack_into,
)
from tests.helpers.flist.hub import TOKEN, make_root
from tests.helpers.flist.mount import mounted, rfs, serving
from tests.helpers.needs import need_fuse


@contextlib.contextmanager
def small_disk(place: Path, size: str = "1M") -> Iterator[Path]:
    """Mount a tmpfs of `size` on `place` for the block."""
    need_fuse()
    place.mkdir()
    call = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    subprocess.run(call, check=True, capture_output=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def fill_up(disk: Path) -> None:
    """Fill a disk completely."""
    with contextlib.suppress(OSError), (disk / "fill").open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass


def enlarge(disk: Path) -> None:
    """Give a tmpfs 100 MB."""
    subprocess.run(["mount", "-o", "remount,size=100M", str(disk)], check=True)


def test_a_full_cache_costs_only_speed(tmp_path: Path, adapter: str) -> None:
    tree = make_many_files(tmp_path / "tree", 100)
    meta = pack_into(tmp_path, tree)
    with small_disk(tmp_path / "disk") as disk, faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "--cache", disk / "cache")
        with mounted(meta, tmp_path / "m", *words, "--adapter", adapter) as mount:
            assert file_hashes(mount.path) == file_hashes(tree)
        check_blocks(disk / "cache")
        rfs("unpack", "-m", meta, *words, tmp_path / "out")
    assert file_hashes(tmp_path / "out") == file_hashes(tree)


def test_a_pack_into_a_full_store_fails_without_a_flist(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree", 100)
    with small_disk(tmp_path / "disk") as disk:
        words = ("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{disk}/blocks", tree)
        done = rfs(*words, check=False)
        assert done.returncode == 1
        assert "No space left" in done.stderr and "Traceback" not in done.stderr
        assert not (tmp_path / "a.fl").exists()
        check_blocks(disk / "blocks")
        enlarge(disk)
        rfs(*words)
        rfs("unpack", "-m", tmp_path / "a.fl", tmp_path / "out")
    assert file_hashes(tmp_path / "out") == file_hashes(tree)


def test_a_pack_onto_a_full_disk_fails_without_a_flist(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree", 400, size=10)
    with small_disk(tmp_path / "disk", "64K") as disk:
        words = ("pack", "-m", disk / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
        done = rfs(*words, check=False)
        assert done.returncode == 1
        assert "cannot write" in done.stderr and "Traceback" not in done.stderr
        assert not list(disk.iterdir())
        enlarge(disk)
        rfs(*words)
        rfs("verify", "-m", disk / "a.fl")


def test_other_commands_on_a_full_disk_leave_the_old_file(tmp_path: Path) -> None:
    """The old file stays as it was, and no new one is left."""
    tree = make_many_files(tmp_path / "tree", 400, size=10)
    meta = pack_into(tmp_path, tree)
    rfs("keygen", tmp_path / "key")
    calls: list[list[str | Path]]
    with small_disk(tmp_path / "disk") as disk:
        (disk / "a.fl").write_bytes(meta.read_bytes())
        fill_up(disk)
        calls = [
            ["merge", "-o", disk / "b.fl", meta, meta],
            ["convert", "-m", meta, "-o", disk / "b.fl", "-s", f"dir://{tmp_path}/other"],
            ["config", "-m", disk / "a.fl", "tag", "add", "-t", "key=value"],
            ["clone", "-m", disk / "a.fl", "-s", f"dir://{tmp_path}/more"],
            ["sign", "--inside", "-m", disk / "a.fl", "-k", tmp_path / "key", "-n", "a/b"],
            ["sign", "-m", disk / "a.fl", "-k", tmp_path / "key", "-n", "a/b"],
            ["keygen", disk / "key"],
        ]
        for words in calls:
            done = rfs(*words, check=False)
            assert done.returncode == 1, words
            assert "No space left" in done.stderr and "Traceback" not in done.stderr
            assert str(disk) in done.stderr
            assert sorted(path.name for path in disk.iterdir()) == ["a.fl", "fill"], words
            assert (disk / "a.fl").read_bytes() == meta.read_bytes()


def test_a_hub_on_a_full_disk_answers_507(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree", 100)
    token = ("--token", TOKEN)
    with (
        small_disk(tmp_path / "disk") as disk,
        serving(make_root(disk)) as hub,
    ):
        words = ("upload", "-s", hub.url, *token, tree / "large")
        done = rfs(*words, check=False)
        assert done.returncode == 1
        assert "507" in done.stderr and "Traceback" not in done.stderr
        fill_up(disk)
        meta = pack_into(tmp_path, tree)
        done = rfs("publish", "-m", meta, "-s", hub.url, *token, "a/b.fl", check=False)
        assert "507" in done.stderr
        assert not list(disk.glob("flists/*/*"))
        enlarge(disk)
        rfs(*words)
        hub.process.terminate()
        assert hub.process.stderr is not None
        assert "Traceback" not in hub.process.stderr.read()


def test_an_unpack_onto_a_full_disk_fails_and_leaves_whole_files(tmp_path: Path) -> None:
    tree = make_many_files(tmp_path / "tree", 100)
    meta = pack_into(tmp_path, tree)
    expected = file_hashes(tree)
    with small_disk(tmp_path / "disk") as disk:
        done = rfs("unpack", "-m", meta, disk / "out", check=False)
        assert done.returncode == 1
        assert "No space left" in done.stderr and "Traceback" not in done.stderr
        for name, value in file_hashes(disk / "out").items():
            assert ".rfs-" in name or value == expected[name]
        enlarge(disk)
        rfs("unpack", "-m", meta, disk / "out")
        assert file_hashes(disk / "out") == expected
