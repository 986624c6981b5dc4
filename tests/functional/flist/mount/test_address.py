"""A flist mounted by its address."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.helpers.flist.faults import faulty_server, file_hashes, make_many_files, pack_into
from tests.helpers.flist.mount import mounted, rfs, rfs_daemon
from tests.helpers.needs import need_fuse


@pytest.fixture(name="tree")
def make_tree(tmp_path: Path) -> Path:
    """Make a tree and pack it, with the flist beside its blocks on the server."""
    tree = make_many_files(tmp_path / "tree", 20)
    shutil.copy(pack_into(tmp_path, tree), tmp_path / "blocks" / "a.fl")
    return tree


def test_a_flist_is_mounted_by_its_address(tree: Path, tmp_path: Path, adapter: str) -> None:
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "-c", tmp_path / "cache", "--adapter", adapter)
        with mounted(f"{server.url}/a.fl", tmp_path / "m", *words) as mount:
            assert file_hashes(mount.path) == file_hashes(tree)


def test_one_connection_fetches_the_flist_and_the_blocks(tree: Path, tmp_path: Path) -> None:
    del tree
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "-c", tmp_path / "cache", "--adapter", "library")
        with mounted(f"{server.url}/a.fl", tmp_path / "m", *words) as mount:
            (mount.path / "large").read_bytes()[:10]
            assert server.asked > 1
        assert len(server.clients) <= 2  # two if libfuse reads in two threads


def test_a_background_mount_leaves_nothing_in_the_temporary_folder(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    need_fuse()
    (tmp_path / "scratch").mkdir()
    (tmp_path / "m").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "-c", tmp_path / "cache", "--adapter", adapter)
        rfs_daemon("-m", f"{server.url}/a.fl", *words, tmp_path / "m")
        try:
            assert list((tmp_path / "scratch").iterdir()) == []
            assert file_hashes(tmp_path / "m") == file_hashes(tree)
        finally:
            subprocess.run(["umount", "-l", tmp_path / "m"], check=True, timeout=60)


def test_the_signature_is_fetched_from_beside_the_flist(tree: Path, tmp_path: Path) -> None:
    rfs("keygen", tmp_path / "key")
    meta = tmp_path / "blocks" / "a.fl"
    with faulty_server(tmp_path / "blocks") as server:
        words = ("--store", server.url, "-c", tmp_path / "cache", "--key", tmp_path / "key.pub")
        call = ("mount", "-m", f"{server.url}/a.fl", *words, tmp_path / "m")
        (tmp_path / "m").mkdir()
        done = rfs(*call, check=False)
        assert done.returncode == 1
        assert "no signature" in done.stderr
        rfs("sign", "-m", meta, "--key", tmp_path / "key", "--name", "a/a")
        with mounted(f"{server.url}/a.fl", *call[-1:], *words) as mount:
            assert file_hashes(mount.path) == file_hashes(tree)
        meta.write_bytes(meta.read_bytes() + b"more")
        assert rfs(*call, check=False).returncode == 1


def test_a_missing_flist_and_a_missing_server_are_reported(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    (tmp_path / "m").mkdir()
    with faulty_server(tmp_path / "blocks") as server:
        done = rfs("mount", "-m", f"{server.url}/a.fl", tmp_path / "m", check=False)
        assert done.returncode == 1
        assert f"cannot fetch {server.url}/a.fl: the server answered 404" in done.stderr
    done = rfs("mount", "-m", f"{server.url}/a.fl", tmp_path / "m", check=False)
    assert done.returncode == 1
    assert "cannot reach" in done.stderr and "Traceback" not in done.stderr


def test_a_background_mount_gives_up_on_a_stalled_server(tree: Path, tmp_path: Path) -> None:
    del tree
    (tmp_path / "m").mkdir()
    with faulty_server(tmp_path / "blocks") as server:
        server.break_with("stall")
        began = time.monotonic()
        words = ("-c", tmp_path / "cache", "--daemon", tmp_path / "m")
        done = rfs("mount", "-m", f"{server.url}/a.fl", *words, check=False)
        assert time.monotonic() - began >= 4
    assert done.returncode == 1
    assert f"not up within 4 s: {server.url}/a.fl has not come yet" in done.stderr
    assert "without --daemon" in done.stderr
