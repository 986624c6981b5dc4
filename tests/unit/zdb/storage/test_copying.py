"""From one store to another, without a network."""

import errno
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from zdb.errors import DamagedError, ZdbError
from zdb.format.data import HEADER
from zdb.storage import copying
from zdb.storage.copying import BEGINNING, Place
from zdb.storage.files import Disk
from zdb.storage.namespace import Namespace
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store

Pair = tuple[Store, Store]


@pytest.fixture(params=["user", "seq"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pair]:
    settings = StoreSettings(mode=request.param, file_size=3000, sync="never")
    tops = tmp_path / "master", tmp_path / "copy"
    master, copy = (Store(top / "d", top / "i", settings) for top in tops)
    with master, copy:
        yield master, copy


def spaces(pair: Pair) -> tuple[Namespace, Namespace]:
    return pair[0].namespaces["default"], pair[1].namespaces["default"]


def change(space: Namespace, chance: random.Random) -> None:
    key = b"k%d" % chance.randrange(20)
    if space.mode == "seq":
        number = chance.randrange(space.next_id + 3)
        key = number.to_bytes(8, "little") if space.entry(number.to_bytes(8, "little")) else b""
    if key and chance.random() < 0.2:
        space.delete(key)
    else:
        space.set(key, chance.randbytes(chance.randrange(200)))


def copy_all(pair: Pair, size: int) -> None:
    """Copy as a replica does, chunk after chunk."""
    master, copy = spaces(pair)
    while True:
        place = copying.place_of(copy)
        word, blob = copying.read(master, place, size)
        if word == "same":
            return
        if word == "diverged":
            assert copy.is_fresh
            copying.take_header(copy, copying.read(master, BEGINNING, size)[1])
        elif word == "end":
            head = copying.read(master, BEGINNING._replace(file_id=place.file_id + 1), size)[1]
            copying.begin_file(copy, place, head)
        else:
            taken = copying.take(copy, place, blob)
            assert not pair[1].commit()
            if not taken:
                size *= 2


@pytest.mark.parametrize("size", [1, 100, 1000, 1 << 20])
def test_a_copy_has_the_same_bytes(pair: Pair, size: int) -> None:
    chance = random.Random(size)
    master, copy = spaces(pair)
    for _ in range(5):
        for _ in range(60):
            change(master, chance)
        pair[0].commit()
        change(master, chance)  # not committed: not copied
        copy_all(pair, size)
        assert copy.data.current.length == master.data.current.length
    pair[0].commit()
    copy_all(pair, size)
    assert (copy.entries, copy.data_bytes) == (master.entries, master.data_bytes)
    for space in (master, copy):
        space.checkpoint()
    for mine, theirs in ((copy.data, master.data), (copy.index, master.index)):
        for one, two in zip(mine.files, theirs.files, strict=True):
            assert one.path.read_bytes() == two.path.read_bytes()


def test_what_is_not_the_masters_is_noticed(pair: Pair) -> None:
    master, copy = spaces(pair)
    chance = random.Random(1)
    for _ in range(10):
        change(master, chance)
    pair[0].commit()
    copy_all(pair, 1000)
    place = copying.place_of(copy)
    assert copying.read(master, place, 10) == ("same", b"")
    for wrong in (
        place._replace(digest=place.digest ^ 1),
        place._replace(offset=place.offset + 1),
        place._replace(file_id=place.file_id + 5),
        Place(0, HEADER.size, 0),
    ):
        assert copying.read(master, wrong, 10)[0] == "diverged"


def test_bytes_that_are_no_record_are_not_taken(pair: Pair) -> None:
    master, copy = spaces(pair)
    master.set(b"k" if master.mode == "user" else b"", b"value")
    pair[0].commit()
    copy_all(pair, 1000)
    before, place = copy.data.current.end, copying.place_of(copy)
    with pytest.raises(DamagedError, match="the master has no record"):
        copying.take(copy, place, bytes(100))
    assert copying.take(copy, place, b"\1\0\0") == 0
    with pytest.raises(ZdbError, match="gone on"):  # the same bytes, a second time
        copying.take(copy, place._replace(offset=place.offset - 1), b"\1")
    assert copy.data.current.end == before


def test_a_token_changes_with_each_commit_and_setting(pair: Pair) -> None:
    store, seen = pair[0], set[str]()
    space = store.namespaces["default"]

    def note() -> None:
        token = copying.token_of(store)
        assert token not in seen and token == copying.token_of(store)
        seen.add(token)

    note()
    space.set(b"a" if space.mode == "user" else b"", b"1")
    store.commit()
    note()
    store.create("x").change(maxsize=5)
    note()
    store.delete("x")
    note()


class FullDisk(Disk):
    is_full = False

    def pwritev(self, handle, buffers, offset):  # type: ignore[no-untyped-def, override]
        if self.is_full:
            raise OSError(errno.ENOSPC, "full")
        return os.pwritev(handle, buffers, offset)


@pytest.mark.parametrize("mode", ["user", "seq"])
def test_a_chunk_that_the_disk_does_not_take_is_copied_again(tmp_path: Path, mode: str) -> None:
    disk, chance = FullDisk(), random.Random(7)
    settings = StoreSettings(mode=mode, retry_s=0)
    master = Store(tmp_path / "md", tmp_path / "mi", settings)
    copy = Store(tmp_path / "cd", tmp_path / "ci", settings, disk)
    with master, copy:
        theirs, mine = spaces((master, copy))
        for part in range(3):
            for _ in range(50):
                change(theirs, chance)
            master.commit()
            if part == 1:
                disk.is_full = True
                place = copying.place_of(mine)
                assert copying.take(mine, place, copying.read(theirs, place, 1 << 20)[1]) > 0
                assert copy.commit() == {mine}
                disk.is_full = False
            copy_all((master, copy), 500)
        assert (mine.entries, mine.data_bytes) == (theirs.entries, theirs.data_bytes)
        keys = [b"k%d" % n for n in range(20)]
        if mode == "seq":
            keys = [n.to_bytes(8, "little") for n in range(theirs.next_id)]
        assert [mine.get(key) for key in keys] == [theirs.get(key) for key in keys]
        for space in (mine, theirs):
            space.checkpoint()
        index = [space.index.current.path.read_bytes() for space in (mine, theirs)]
        assert index[0] == index[1]
