"""Disks that fail, and files that are not what they were."""

import errno
import os
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from zdb.errors import DamagedError, WriteError, ZdbError
from zdb.storage.files import Disk
from zdb.storage.scan import scan
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store
from zdb.tools.checking import check
from zdb.tools.folders import Folders


class FailingDisk(Disk):
    """Fails when it is told to."""

    def __init__(self) -> None:
        self.fails: str | None = None
        self.errno = errno.EIO
        self.halfway = False

    def check(self, call: str) -> None:
        if self.fails == call:
            raise OSError(self.errno, os.strerror(self.errno))

    def pwritev(self, handle, buffers, offset):  # type: ignore[no-untyped-def, override]
        if self.fails == "write" and self.halfway:
            blob = b"".join(buffers)
            os.pwrite(handle, blob[: len(blob) // 2], offset)
        self.check("write")
        return os.pwritev(handle, buffers, offset)

    def pread(self, handle, size, offset):  # type: ignore[no-untyped-def]
        self.check("read")
        return os.pread(handle, size, offset)

    def sync(self, handle):  # type: ignore[no-untyped-def]
        self.check("sync")
        os.fdatasync(handle)


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("mode", ["user", "seq"])
@pytest.mark.parametrize(("call", "halfway"), [("write", False), ("write", True), ("sync", False)])
def test_nothing_of_a_failed_commit_is_left(
    tmp_path: Path, mode: str, call: str, halfway: bool
) -> None:
    disk, clock, lines = FailingDisk(), Clock(), list[str]()
    settings = StoreSettings(mode=mode, sync="always", clock=clock, log=lines.append)
    with Store(tmp_path / "d", tmp_path / "i", settings, disk) as store:
        space = store.namespaces["default"]
        one = space.set(b"one" if mode == "user" else b"", b"1")
        gone = space.set(b"gone" if mode == "user" else b"", b"2")
        assert one is not None and gone is not None
        assert store.commit() == set()
        before = (tmp_path / "d/default/d0").read_bytes(), (tmp_path / "i/default/i0").read_bytes()
        space.set(one, b"changed")
        space.delete(gone)
        new = space.set(b"new" if mode == "user" else b"", b"3")
        assert new is not None
        disk.fails, disk.halfway = call, halfway
        assert store.commit() == {space}
        assert "cannot write: Input/output error" in lines[-1]
        assert (space.get(one), space.get(gone), space.get(new)) == (b"1", b"2", None)
        assert (space.entries, space.data_bytes) == (2, 2)
        with pytest.raises(WriteError):
            space.set(one, b"at once")
        with pytest.raises(WriteError):
            space.delete(one)
        after = (tmp_path / "d/default/d0").read_bytes(), (tmp_path / "i/default/i0").read_bytes()
        assert after == before
        disk.fails = None
        clock.now += 2
        space.set(one, b"later")
        assert store.commit() == set()
        assert space.write_errors == 1
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        space = store.namespaces["default"]
        assert (space.get(one), space.get(gone)) == (b"later", b"2")


def test_a_failing_file_change_fails_the_request_and_what_was_not_committed(tmp_path: Path) -> None:
    disk, clock = FailingDisk(), Clock()
    settings = StoreSettings(file_size=200, clock=clock)
    with Store(tmp_path / "d", tmp_path / "i", settings, disk) as store:
        space = store.namespaces["default"]
        space.set(b"a", b"x" * 100)
        disk.fails, disk.errno = "write", errno.ENOSPC
        with pytest.raises(WriteError):
            space.set(b"b", b"x" * 100)
        assert store.commit() == {space}
        assert space.get(b"a") is None
        disk.fails = None
        clock.now += 2
        space.set(b"b", b"x" * 100)
        space.set(b"c", b"x" * 100)
        assert store.commit() == set()
        assert space.data.current_id == 1


def test_the_interval_syncs_beside_the_server_and_again_after_an_error(tmp_path: Path) -> None:
    disk, clock, lines = FailingDisk(), Clock(), list[str]()
    settings = StoreSettings(sync_s=1, clock=clock, log=lines.append)
    with Store(tmp_path / "d", tmp_path / "i", settings, disk) as store:
        space = store.namespaces["default"]
        assert store.next_sync() is None
        space.set(b"a", b"1")
        store.commit()
        assert store.next_sync() == 1
        clock.now += 1
        disk.fails = "sync"
        store.commit()
        wait_until(lambda: lines, "the error")
        assert "cannot sync: Input/output error" in lines[0]
        store.commit()
        assert store.next_sync() == 1
        disk.fails = None
        clock.now += 1
        store.commit()
        assert store.next_sync() is None


def test_a_read_error_is_no_damage(tmp_path: Path) -> None:
    disk = FailingDisk()
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings(), disk) as store:
        space = store.namespaces["default"]
        space.set(b"a", b"1")
        store.commit()
        disk.fails = "read"
        with pytest.raises(OSError, match="Input/output"):
            space.get(b"a")
        disk.fails = None
        assert space.get(b"a") == b"1"


def make(tmp_path: Path) -> Path:
    """Return a folder with a store of one key."""
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()) as store:
        store.namespaces["default"].set(b"a", b"1")
    return tmp_path


@pytest.mark.parametrize("place", ["d/default/d0", "i/default/i0"])
@pytest.mark.parametrize("kind", ["fifo", "link", "folder", "huge"])
def test_what_is_no_file_of_a_namespace_is_refused(tmp_path: Path, place: str, kind: str) -> None:
    path = make(tmp_path) / place
    if kind == "huge":
        os.truncate(path, 5 << 30)
    else:
        path.rename(tmp_path / "aside")
        if kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            path.symlink_to(tmp_path / "aside")
        else:
            path.mkdir()
    with pytest.raises((ZdbError, OSError), match=str(path)):
        Store(tmp_path / "d", tmp_path / "i", StoreSettings()).open()


def test_a_file_that_is_replaced_while_in_use_is_noticed(tmp_path: Path) -> None:
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()) as store:
        space = store.namespaces["default"]
        space.set(b"a", b"1")
        store.commit()
        path = tmp_path / "d/default/d0"
        blob = path.read_bytes()
        path.unlink()
        path.write_bytes(blob)
        assert space.get(b"a") == b"1"  # of the file that is still open
        space.data.current.close()
        with pytest.raises(DamagedError, match="it was replaced"):
            space.get(b"a")


def test_a_flipped_byte_is_named_and_the_other_keys_are_read(tmp_path: Path) -> None:
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()) as store:
        space = store.namespaces["default"]
        for number in range(3):
            space.set(b"k%d" % number, b"value %d" % number)
    path = tmp_path / "d/default/d0"
    blob = bytearray(path.read_bytes())
    blob[blob.index(b"value 1")] ^= 1
    path.write_bytes(blob)
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()) as store:
        space = store.namespaces["default"]
        with pytest.raises(DamagedError, match=r"d0 at \d+: the record is damaged"):
            space.get(b"k1")
        assert (space.get(b"k0"), space.get(b"k2")) == (b"value 0", b"value 2")
        assert space.set(b"k1", b"value 1") == b"k1"  # writing again mends it
        assert space.get(b"k1") == b"value 1"
    blob[blob.index(b"k1") - 17] ^= 1  # a byte of the length
    path.write_bytes(blob + path.read_bytes()[len(blob) :])
    for file in (tmp_path / "i/default").glob("*[0-9t]"):
        file.unlink()
    lines: list[str] = []
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings(log=lines.append)) as store:
        space = store.namespaces["default"]
        assert [line for line in lines if "27 bytes at 55 are damaged" in line]
        assert (space.get(b"k0"), space.get(b"k1"), space.get(b"k2")) == (
            b"value 0",
            b"value 1",
            b"value 2",
        )


def test_a_torn_tail_is_cut_off_and_kept_aside(tmp_path: Path) -> None:
    aside, lines = tmp_path / "aside", list[str]()
    aside.mkdir()
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()) as store:
        space = store.namespaces["default"]
        space.set(b"a", b"1")
        space.set(b"torn", b"x" * 1000)
        store.commit()
        store.abandon()
    path = tmp_path / "d/default/d0"
    whole = path.read_bytes()
    os.truncate(path, len(whole) - 10)
    settings = StoreSettings(keep_torn=aside, log=lines.append)
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        space = store.namespaces["default"]
        assert (space.get(b"a"), space.get(b"torn")) == (b"1", None)
        assert scan(space, None) is not None
        assert [line for line in lines if "cut off 1012 torn bytes" in line]
        assert [file.read_bytes() for file in aside.iterdir()] == [whole[48:-10]]


def test_one_process_has_a_folder(tmp_path: Path) -> None:
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()):
        with pytest.raises(ZdbError, match="another server"):
            Store(tmp_path / "d", tmp_path / "other", StoreSettings()).open()


def test_a_missing_file_costs_only_its_own_keys(tmp_path: Path) -> None:
    settings = StoreSettings(file_size=200)
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        for number in range(4):
            store.namespaces["default"].set(b"k%d" % number, b"x" * 150)
    (tmp_path / "d/default/d1").unlink()
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        space = store.namespaces["default"]
        assert space.get(b"k0") == space.get(b"k3") == b"x" * 150
        with pytest.raises((DamagedError, OSError), match="d1"):
            space.get(b"k1")


def test_a_namespace_without_its_settings_is_closed(tmp_path: Path) -> None:
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()) as store:
        store.create("secret").set(b"a", b"1")
    (tmp_path / "i/secret/zdb-namespace").unlink()
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()) as store:
        space = store.namespaces["secret"]
        assert space.password and not space.public
        assert space.get(b"a") == b"1"


def test_data_without_an_index_becomes_no_new_namespace(tmp_path: Path) -> None:
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()) as store:
        store.create("secret").set(b"a", b"1")
    (tmp_path / "i/secret").rename(tmp_path / "aside")
    lines: list[str] = []
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings(log=lines.append)) as store:
        assert "belongs to no namespace" in lines[0]
        with pytest.raises(ZdbError, match="has data already"):
            store.create("secret")


def test_a_value_longer_than_a_file_makes_one_file(tmp_path: Path) -> None:
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings(file_size=1000)) as store:
        space = store.namespaces["default"]
        for number in range(3):
            space.set(b"k%d" % number, b"x" * 5000)
        assert space.data.current_id == 2


def test_one_folder_is_not_for_both(tmp_path: Path) -> None:
    with pytest.raises(ZdbError, match="both data and index"):
        Store(tmp_path, tmp_path / "x" / "..", StoreSettings()).open()


def test_halves_of_a_killed_server_are_removed(tmp_path: Path) -> None:
    top = make(tmp_path)
    half = top / "i/default/.zdb-checkpoint.abc.tmp"
    half.write_bytes(b"1 0")
    with Store(tmp_path / "d", tmp_path / "i", StoreSettings()):
        assert not half.exists()


def test_a_file_without_its_header_is_begun_again(tmp_path: Path) -> None:
    settings = StoreSettings(file_size=200)
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        for number in range(3):
            store.namespaces["default"].set(b"k%d" % number, b"x" * 150)
    (tmp_path / "d/default/d3").write_bytes(b"DAT")
    (tmp_path / "i/default/i3").touch()
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        space = store.namespaces["default"]
        assert (space.data.current_id, space.entries) == (2, 3)
        space.set(b"more", b"x" * 150)
        assert (space.data.current_id, space.get(b"k2")) == (3, b"x" * 150)
    assert check(Folders(tmp_path / "d", tmp_path / "i"), [])[0].findings == []


def test_what_the_file_system_keeps_for_itself_is_no_namespace(tmp_path: Path) -> None:
    top, lines = make(tmp_path), list[str]()
    for name in ("d", "i"):
        (top / name / "lost+found").mkdir()
    with Store(top / "d", top / "i", StoreSettings(log=lines.append)) as store:
        assert (list(store.namespaces), lines) == (["default"], [])
