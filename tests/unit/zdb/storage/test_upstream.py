"""Folders go both ways: made as 0-db makes them, and read as it reads them.

What it does is taken from `libzdb/index_loader.c`, `index_set.c` and `data.c` of threefoldtech/0-db
2.0.7, and from its recorded answers.
"""

import struct
from pathlib import Path

import pytest

from zdb.format.data import checksum
from zdb.storage.scan import history, scan
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store
from zdb.tools.checking import check
from zdb.tools.folders import Folders

DATA = struct.Struct("<BIIIBI")
INDEX = struct.Struct("<BIIIBIIIII")
OPENED = 1_650_000_000


class Upstream:
    """Writes a namespace as 0-db does, in mode user."""

    def __init__(self, top: Path) -> None:
        self.data, self.index = top / "d/default", top / "i/default"
        self.data.mkdir(parents=True)
        self.index.mkdir(parents=True)
        self.previous = self.index_previous = 0
        self.file = -1
        self.live: dict[bytes, tuple[int, int]] = {}
        self.begin()
        head = struct.pack("<IBBQB", 1, 7, 0, 0, 5) + b"default"
        (self.index / "zdb-namespace").write_bytes(head + b"left of a longer one")

    def begin(self) -> None:
        self.file += 1
        d = struct.pack("<4sIQQI", b"DAT0", 3, 1_600_000_000, 0, self.file)
        i = struct.pack("<4sIQQIB", b"IDX0", 4, 1_600_000_000, OPENED, self.file, 0)
        (self.data / f"d{self.file}").write_bytes(d)
        (self.index / f"i{self.file}").write_bytes(i)

    def append(self, folder: Path, name: str, blob: bytes) -> int:
        path = folder / f"{name}{self.file}"
        offset = path.stat().st_size
        with open(path, "ab") as stream:
            stream.write(blob)
        return offset

    def put(self, key: bytes, value: bytes, time: int) -> None:
        crc = checksum(value)
        head = DATA.pack(len(key), len(value), self.previous, crc, 0, time)
        self.previous = offset = self.append(self.data, "d", head + key + value)
        old = self.live.get(key)
        if old:
            self.flag(*old)
        file = self.file if old else 0  # it forgets the file of a first version
        words = (len(key), offset, len(value), self.index_previous, 0, file, time, crc)
        entry = INDEX.pack(*words, *(old or (0, 0))) + key
        self.index_previous = self.append(self.index, "i", entry)
        self.live[key] = self.file, self.index_previous

    def delete(self, key: bytes, time: int) -> None:
        head = DATA.pack(len(key), 0, self.previous, 0, 1, time)
        self.previous = self.append(self.data, "d", head + key)
        self.flag(*self.live.pop(key))

    def flag(self, file: int, offset: int) -> None:
        path = self.index / f"i{file}"
        blob = bytearray(path.read_bytes())
        blob[offset + 13] |= 1
        path.write_bytes(blob)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    made = Upstream(tmp_path)
    made.put(b"a", b"1", 1)
    made.put(b"b", b"two", 2)
    made.put(b"a", b"changed", 3)
    made.begin()
    made.put(b"c", b"in the second file", 4)
    made.put(b"b", b"", 5)
    made.delete(b"a", 6)
    made.put(b"a", b"again", 7)
    made.put(b"gone", b"x", 8)
    made.delete(b"gone", 9)
    return tmp_path


def look(top: Path) -> None:
    with Store(top / "d", top / "i", StoreSettings()) as store:
        space = store.namespaces["default"]
        assert {key: space.get(key) for key in (b"a", b"b", b"c", b"gone")} == {
            b"a": b"again", b"b": b"", b"c": b"in the second file", b"gone": None,
        }  # fmt: skip
        assert (space.entries, space.data_bytes) == (3, 23)
        page = scan(space, None)
        assert page is not None and [row[0] for row in page.items] == [b"c", b"b", b"a"]
        first = history(space, b"c")
        assert (first.value, first.link) == (b"in the second file", None)
        version = history(space, b"b")
        assert version.link is not None
        assert history(space, b"b", version.link)[1:] == (2, b"two")
        assert history(space, b"a").link is None


def test_a_folder_that_upstream_made_is_read(made: Path) -> None:
    look(made)
    look(made)
    assert [report.findings for report in check(Folders(made / "d", made / "i"), [])] == [[]]


def test_what_upstream_adds_between_two_openings_is_found(made: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    upstream = Upstream(other)
    upstream.put(b"a", b"1", 1)
    upstream.put(b"b", b"2", 2)
    with Store(other / "d", other / "i", StoreSettings()):
        pass
    upstream.put(b"a", b"3", 3)
    upstream.delete(b"b", 4)
    with Store(other / "d", other / "i", StoreSettings()) as store:
        space = store.namespaces["default"]
        assert (space.get(b"a"), space.get(b"b"), space.entries) == (b"3", None, 1)
        version = history(space, b"a")
        assert version.link and history(space, b"a", version.link).value == b"1"


@pytest.mark.parametrize("cut", [1, 20, 40])
def test_upstreams_index_may_be_torn(made: Path, cut: int) -> None:
    path = made / "i/default/i1"
    blob = path.read_bytes()
    path.write_bytes(blob[:-cut])
    look(made)


def read_as_upstream(top: Path, mode: int) -> dict[bytes, bytes]:
    """Return all keys and values, as 0-db loads them."""
    found: dict[bytes, bytes] = {}
    for number in range(len(list((top / "i/default").glob("i[0-9]*")))):
        blob = (top / f"i/default/i{number}").read_bytes()
        magic, version, _, _, file, found_mode = struct.unpack_from("<4sIQQIB", blob)
        assert (magic, version, file, found_mode) == (b"IDX0", 4, number, mode)
        at = 29
        while at < len(blob):
            size, offset, length, _, flags, data_file, *_ = INDEX.unpack_from(blob, at)
            key = blob[at + 34 : at + 34 + size]
            at += 34 + size
            if not flags & 1:
                path = top / f"d/default/d{data_file}"
                start = offset + 18 + size
                found[key] = path.read_bytes()[start : start + length]
    return found


@pytest.mark.parametrize(("mode", "number"), [("user", 0), ("seq", 1)])
def test_upstream_reads_what_is_closed_here(tmp_path: Path, mode: str, number: int) -> None:
    settings = StoreSettings(mode=mode, file_size=500)
    want: dict[bytes, bytes] = {}
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        space = store.namespaces["default"]
        for step in range(60):
            key = b"k%d" % (step % 20) if mode == "user" else b""
            if mode == "seq" and step % 3 == 2:
                key = list(want)[step % len(want)]
            value = b"value %d" % step
            done = space.set(key, value)
            assert done is not None
            want[done] = value
            if step % 7 == 6:
                gone = next(iter(want))
                assert space.delete(gone)
                del want[gone]
    assert read_as_upstream(tmp_path, number) == want


def test_a_first_version_may_name_the_wrong_data_file(tmp_path: Path) -> None:
    settings = StoreSettings(mode="seq", file_size=300)
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        keys = [store.namespaces["default"].set(b"", b"value %d" % n) for n in range(30)]
    path = tmp_path / "i/default/i2"
    blob = bytearray(path.read_bytes())
    for at in range(29, len(blob), 42):
        blob[at + 14 : at + 18] = bytes(4)
    path.write_bytes(blob)
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        space = store.namespaces["default"]
        values = [space.get(key or b"") for key in keys]
        assert values == [b"value %d" % n for n in range(30)]
        assert all(
            history(space, key or b"").value == v for key, v in zip(keys, values, strict=True)
        )


def test_a_number_is_the_place_of_its_entry(tmp_path: Path) -> None:
    """0-db computes where the entry of a number is: files begin with the number that is next."""
    settings = StoreSettings(mode="seq", file_size=300)
    with Store(tmp_path / "d", tmp_path / "i", settings) as store:
        space = store.namespaces["default"]
        keys = [space.set(b"", b"value %d" % n) for n in range(30)]
        for key in keys[::4]:
            space.set(key or b"", b"changed")
    slots: list[bytes] = []
    for number in range(len(list((tmp_path / "i/default").glob("i[0-9]*")))):
        blob = (tmp_path / f"i/default/i{number}").read_bytes()[29:]
        assert len(blob) % 42 == 0
        slots += [blob[at : at + 42] for at in range(0, len(blob), 42)]
    for key in keys:
        assert key is not None
        entry = slots[int.from_bytes(key, "little")]
        assert (entry[34:], entry[13]) == (key, 0)
