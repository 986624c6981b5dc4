"""Mounts: statistics, mount points, traces, new versions, shared caches, access."""

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest

from flist.store.cache import BlockCache
from tests.helpers.flist.mount import mounted, rfs, serving
from tests.helpers.flist.stores import BLOCK, DATA
from tests.helpers.flist.trees import describe, make_acl, make_odd_tree, make_small_tree
from tests.helpers.needs import need_root
from tests.helpers.waiting import wait_until


@pytest.fixture(name="packed")
def make_packed(tmp_path: Path) -> Path:
    """Pack the small tree as a.fl, with its blocks in the folder of a hub."""
    make_small_tree(tmp_path / "tree")
    (tmp_path / "hub").mkdir()
    return pack(tmp_path, "a.fl")


def pack(tmp_path: Path, name: str) -> Path:
    """Pack the tree as it is now."""
    rfs("pack", "-m", tmp_path / name, "-s", f"dir://{tmp_path}/hub/blocks", tmp_path / "tree")
    return tmp_path / name


def stats(target: Path) -> dict[str, float]:
    """Return the statistics of a mount."""
    answer: dict[str, float] = json.loads(rfs("stats", "--json", target).stdout)
    return answer


def test_statistics_count_each_block_once(packed: Path, tmp_path: Path, adapter: str) -> None:
    with serving(tmp_path / "hub") as hub:
        words: list[str | Path] = ["--store", f"{hub.url}/blocks", "-c", tmp_path / "cache"]
        words += ["--adapter", adapter]
        with mounted(packed, tmp_path / "m", *words) as mount:
            before = stats(mount.path)
            assert before["fetched"] == 0
            describe(mount.path)
            seen = stats(mount.path)
            assert seen.keys() == before.keys()
            blocks = list((tmp_path / "hub" / "blocks").glob("*/*"))
            assert seen["fetched"] == len(blocks)
            assert seen["fetched_bytes"] == sum(path.stat().st_size for path in blocks)
            assert 0 < seen["mean_s"] <= seen["slowest_s"]
            assert "fetched: " in rfs("stats", mount.path).stdout
        with mounted(packed, tmp_path / "m", *words) as mount:
            describe(mount.path)
            assert stats(mount.path)["fetched"] == 0
            assert stats(mount.path)["cache_hits"] > 0
    done = rfs("stats", tmp_path / "m", check=False)
    assert "no flist is mounted" in done.stderr


def test_a_mount_point_of_any_name(packed: Path, tmp_path: Path, adapter: str) -> None:
    """The kernel's list of mounts escapes blanks and backslashes in a line."""
    target = tmp_path / "blank and\nline\\134 \u2028 \udcff"
    with mounted(packed, target, "--adapter", adapter) as mount:
        assert stats(mount.path)["versions"] == 1
        again = rfs("mount", "-m", packed, target, check=False)
        assert "a flist is mounted there" in again.stderr
        device = os.stat(target).st_dev  # noqa: PTH116
        setting = f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb"
        if adapter == "raw":
            assert int(Path(setting).read_text()) > 512
            rfs("remount", "-m", packed, target)


def test_a_flist_that_its_own_mount_hides(
    packed: Path, monkeypatch: pytest.MonkeyPatch, adapter: str
) -> None:
    """A process in the folder still finds the file, although its absolute path leads into the
    mount."""
    monkeypatch.chdir(packed.parent)
    with mounted("a.fl", packed.parent, "--adapter", adapter):
        assert "entries: 16" in rfs("inspect", "a.fl").stdout


def test_a_flist_that_is_overwritten_in_place_does_not_change_its_mount(
    packed: Path, tmp_path: Path, adapter: str
) -> None:
    before = describe(tmp_path / "tree")
    with mounted(packed, tmp_path / "m", "--adapter", adapter) as mount:
        for path in sorted((tmp_path / "tree").rglob("*")):
            if path.is_file() and path.stat().st_size:
                path.write_bytes(path.read_bytes()[::-1])
        shutil.copyfile(pack(tmp_path, "b.fl"), packed)
        assert describe(mount.path) == before


def test_a_name_that_is_too_long_is_no_missing_file(
    packed: Path, tmp_path: Path, adapter: str
) -> None:
    with mounted(packed, tmp_path / "m", "--adapter", adapter) as mount:
        with pytest.raises(FileNotFoundError):
            (mount.path / ("n" * 255)).stat()
        for length in (256, 1000):
            with pytest.raises(OSError, match="File name too long"):
                (mount.path / ("n" * length)).stat()


def test_a_trace_is_recorded_and_replayed(packed: Path, tmp_path: Path, adapter: str) -> None:
    trace = tmp_path / "trace"
    with mounted(packed, tmp_path / "m", "--record", trace, "--adapter", adapter) as mount:
        (mount.path / "sub" / "text").read_bytes()
        with (mount.path / "big").open("rb") as stream:
            stream.seek(1 << 20)
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            stream.read(10)
    count = len(trace.read_text().splitlines())
    assert 2 <= count < 8
    trace.write_text(trace.read_text() + "99999 5\nnonsense\n7 9999\n3")
    with serving(tmp_path / "hub") as hub:
        words: list[str | Path] = ["--store", f"{hub.url}/blocks", "-c", tmp_path / "cache"]
        replay = ("--replay", trace, "--adapter", adapter)
        with mounted(packed, tmp_path / "m", *words, *replay) as mount:
            wait_until(lambda: count_blocks(tmp_path / "cache") == count, "prefetched blocks")
            fetched = stats(mount.path)["fetched"]
            (mount.path / "sub" / "text").read_bytes()
            assert stats(mount.path)["fetched"] == fetched
        shutil.rmtree(tmp_path / "cache")
        rfs("prefetch", "-m", packed, *words, "--trace", trace)
        assert count_blocks(tmp_path / "cache") == count


def count_blocks(folder: Path) -> int:
    """Return how many blocks are in a folder, without those that are being written."""
    return sum(not path.name.startswith(".") for path in folder.glob("*/*"))


def test_open_files_keep_their_content_in_a_new_version(packed: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    before = describe(tree)
    old_big = (tree / "big").read_bytes()
    with mounted(packed, tmp_path / "m") as mount:
        assert describe(mount.path) == before
        assert not (mount.path / "fresh").exists()  # the kernel caches that
        with (mount.path / "big").open("rb") as stream:
            first = stream.read(100)
            folder = os.open(mount.path / "sub", os.O_RDONLY)
            (tree / "big").write_bytes(b"the new content")
            (tree / "fresh").write_text("fresh")
            (tree / "sub" / "added").write_text("added")
            (tree / "chunk").unlink()
            rfs("remount", "-m", pack(tmp_path, "b.fl"), mount.path)
            assert describe(mount.path) == describe(tree)
            assert first + stream.read() == old_big
            assert "added" not in os.listdir(folder)  # noqa: PTH208 a descriptor
            os.close(folder)
        (tree / "chunk").write_text("again another")
        rfs("remount", "-m", pack(tmp_path, "c.fl"), mount.path)
        assert describe(mount.path) == describe(tree)
        assert stats(mount.path)["versions"] == 3


def test_old_versions_are_closed_when_nothing_uses_them(packed: Path, tmp_path: Path) -> None:
    """An open file keeps its version; statistics count closed versions, too."""
    (tmp_path / "tree" / "one").write_text("another")
    other = pack(tmp_path, "b.fl")
    with serving(tmp_path / "hub") as hub:
        words = ("--store", f"{hub.url}/blocks", "-c", tmp_path / "cache")
        with mounted(packed, tmp_path / "m", *words) as mount:
            before = describe(mount.path)
            fetched = stats(mount.path)["fetched"]
            with (mount.path / "big").open("rb") as stream:
                for number in range(10):
                    rfs("remount", "-m", (other, packed)[number % 2], mount.path)
                    assert ((mount.path / "one").read_bytes() == b"another") == (number % 2 == 0)
                    if number % 5 == 0:
                        assert len(list(mount.path.rglob("*"))) == len(before) - 1
                assert 2 <= stats(mount.path)["open_versions"] <= 4
                assert stream.read() == (tmp_path / "tree" / "big").read_bytes()
            assert describe(mount.path) == before
            answer = stats(mount.path)
            assert (answer["versions"], answer["fetched"]) == (11, fetched + 1)
            wait_until(lambda: stats(mount.path)["open_versions"] == 1, "closed versions")


def test_a_new_version_is_refused_while_something_is_mounted_inside(
    packed: Path, tmp_path: Path
) -> None:
    """The kernel would unmount it, and a tmpfs with all its data be gone."""
    need_root()
    inside = tmp_path / "m" / "sub" / "deeper"
    with mounted(packed, tmp_path / "m") as mount:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", inside], check=True)
        try:
            (inside / "data").write_text("precious")
            (tmp_path / "tree" / "one").write_text("another")
            new = pack(tmp_path, "b.fl")
            refused = rfs("remount", "-m", new, mount.path, check=False)
            assert refused.returncode == 1
            assert f"{inside} (tmpfs) is mounted inside" in refused.stderr
            assert (inside / "data").read_text() == "precious"
        finally:
            subprocess.run(["umount", inside], check=True)
        rfs("remount", "-m", new, mount.path)
        assert (mount.path / "one").read_text() == "another"


def test_what_is_mounted_inside_a_bind_mount_counts_too(packed: Path, tmp_path: Path) -> None:
    need_root()
    bound = tmp_path / "bound"
    bound.mkdir()
    with mounted(packed, tmp_path / "m") as mount:
        subprocess.run(["mount", "--bind", mount.path, bound], check=True)
        try:
            rfs("remount", "-m", packed, mount.path)
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", bound / "sub"], check=True)
            refused = rfs("remount", "-m", packed, mount.path, check=False)
            assert f"{bound}/sub (tmpfs) is mounted inside" in refused.stderr
        finally:
            subprocess.run(["umount", "-R", bound], check=True)


def test_a_failed_change_is_reported_and_the_next_one_works(packed: Path, tmp_path: Path) -> None:
    """An unknown kind of store is a usage error, not one of the flist."""
    with mounted(packed, tmp_path / "m") as mount:
        strange = pack(tmp_path, "b.fl")
        with contextlib.closing(sqlite3.connect(strange)) as database:
            database.execute("UPDATE route SET url = 'gopher://x'")
            database.commit()
        refused = rfs("remount", "-m", strange, mount.path, check=False)
        assert refused.returncode == 1
        assert "gopher" in refused.stderr
        assert stats(mount.path)["versions"] == 1
        (tmp_path / "tree" / "one").write_text("another")
        rfs("remount", "-m", pack(tmp_path, "c.fl"), mount.path)
        assert (mount.path / "one").read_text() == "another"


def test_a_mount_through_libfuse_refuses_a_new_version(packed: Path, tmp_path: Path) -> None:
    with mounted(packed, tmp_path / "m", "--adapter", "library") as mount:
        refused = rfs("remount", "-m", packed, mount.path, check=False)
        assert refused.returncode == 1
        assert "this mount goes through libfuse" in refused.stderr
        assert "--adapter raw" in refused.stderr
        assert stats(mount.path)["versions"] == 1


def test_a_new_version_with_attributes(packed: Path, tmp_path: Path) -> None:
    """The kernel keeps asking for attributes only if the mount allowed it from the start."""
    tree = tmp_path / "tree"
    with mounted(packed, tmp_path / "m") as plain, mounted(packed, tmp_path / "n", "--xattrs") as m:
        for mount in (plain, m):
            number = errno.ENODATA if mount is m else errno.ENOTSUP
            with pytest.raises(OSError, match=os.strerror(number)):
                os.getxattr(mount.path / "one", "user.color")
        os.setxattr(tree / "one", "user.color", b"blue")
        blue = pack(tmp_path, "b.fl")
        refused = rfs("remount", "-m", blue, plain.path, check=False)
        assert refused.returncode == 1
        assert "--xattrs" in refused.stderr
        rfs("remount", "-m", blue, m.path)
        assert os.getxattr(m.path / "one", "user.color") == b"blue"
        rfs("remount", "-m", packed, m.path)  # has none, and a later one may have some again
        assert os.listxattr(m.path / "one") == []
        rfs("remount", "-m", blue, m.path)
        assert os.getxattr(m.path / "one", "user.color") == b"blue"


def test_a_new_version_with_access_lists(packed: Path, tmp_path: Path, open_path: Path) -> None:
    """The kernel checks them from the first moment, or the mount refuses the change."""
    need_root()
    tree = tmp_path / "tree"
    (tree / "one").chmod(0o640)
    os.setxattr(tree / "one", "user.color", b"blue")
    first = pack(tmp_path, "b.fl")
    os.setxattr(tree / "one", "system.posix_acl_access", make_acl(4321))
    second = pack(tmp_path, "c.fl")
    with mounted(first, open_path / "m") as mount:
        refused = rfs("remount", "-m", second, mount.path, check=False)
        assert "access lists" in refused.stderr
    with mounted(first, open_path / "m", "--xattrs") as mount:
        assert not can_read(mount.path / "one", 4321)
        rfs("remount", "-m", second, mount.path)
        assert can_read(mount.path / "one", 4321)
        assert not can_read(mount.path / "one", 4322)


def test_a_new_version_needs_the_signature_too(packed: Path, tmp_path: Path) -> None:
    rfs("keygen", tmp_path / "key")
    rfs("sign", "-m", packed, "-k", tmp_path / "key", "-n", "a/b")
    with mounted(packed, tmp_path / "m", "--key", tmp_path / "key.pub") as mount:
        (tmp_path / "tree" / "one").write_text("another")
        new = pack(tmp_path, "b.fl")
        refused = rfs("remount", "-m", new, mount.path, check=False)
        assert refused.returncode == 1
        assert "can't be read" in refused.stderr
        rfs("sign", "-m", new, "-k", tmp_path / "key", "-n", "a/other")
        assert "signed as" in rfs("remount", "-m", new, mount.path, check=False).stderr
        rfs("sign", "-m", new, "-k", tmp_path / "key", "-n", "a/b")
        rfs("remount", "-m", new, mount.path)
        assert (mount.path / "one").read_text() == "another"


def test_two_mounts_share_a_small_cache(packed: Path, tmp_path: Path, adapter: str) -> None:
    """The cache is far too small for the tree, and both mounts evict blocks from it."""
    with serving(tmp_path / "hub") as hub:
        words: list[str | Path] = ["--store", f"{hub.url}/blocks", "-c", tmp_path / "cache"]
        words += ["--cache-size", "1M", "--adapter", adapter]
        with (
            mounted(packed, tmp_path / "a", *words) as a,
            mounted(packed, tmp_path / "b", *words) as b,
        ):
            for _ in range(2):
                assert describe(a.path) == describe(tmp_path / "tree") == describe(b.path)
    assert size_of(tmp_path / "cache") < size_of(tmp_path / "hub" / "blocks")
    # A block written during an eviction may exceed the limit; the next write evicts again.
    BlockCache(tmp_path / "cache", 1 << 20).put(BLOCK.id, DATA)
    assert size_of(tmp_path / "cache") <= 1 << 20


def size_of(folder: Path) -> int:
    """Return the size of all blocks in a folder that nothing writes to."""
    return sum(path.stat().st_size for path in folder.glob("*/*"))


@pytest.mark.parametrize("is_overlay", [False, True])
def test_setuid_bits_and_devices_work_only_if_root_asks(
    tmp_path: Path, open_path: Path, adapter: str, is_overlay: bool
) -> None:
    need_root()
    tree = tmp_path / "tree"
    tree.mkdir()
    os.mknod(tree / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    for option, wanted in (
        ((), {"nosuid", "nodev"}),
        (("--allow-suid",), {"nodev"}),
        (("--allow-dev",), {"nosuid"}),
        (("--allow-suid", "--allow-dev"), set()),
    ):
        words = ["--adapter", adapter, *option]
        words += ["--overlay", str(open_path / "o")] if is_overlay else []
        with mounted(tmp_path / "a.fl", open_path / "m", *words) as mount:
            flags = os.statvfs(mount.path).f_flag
            names = {"nosuid": os.ST_NOSUID, "nodev": os.ST_NODEV}
            assert {name for name, flag in names.items() if flags & flag} == wanted
            if "nodev" in wanted:
                with pytest.raises(PermissionError):
                    (mount.path / "null").read_bytes()
            else:
                assert (mount.path / "null").read_bytes() == b""


def test_access_is_checked_by_modes_and_access_lists(
    tmp_path: Path, open_path: Path, adapter: str
) -> None:
    """Another user can read what they allow, and nothing else."""
    need_root()
    tree = make_odd_tree(tmp_path / "tree")
    (tree / "sub").chmod(0o755)
    rfs("pack", "-m", tmp_path / "a.fl", "-s", f"dir://{tmp_path}/blocks", tree)
    with mounted(tmp_path / "a.fl", open_path / "m", "--adapter", adapter) as mount:
        allowed = {"one": False, "chunk": True, "sub/text": True, "chunk+1": True}
        for name, is_allowed in allowed.items():
            assert can_read(mount.path / name, 4321) == is_allowed, name


def can_read(path: Path, uid: int) -> bool:
    """Return whether user `uid` can read a file."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            path.read_bytes()
            status = 0
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0
