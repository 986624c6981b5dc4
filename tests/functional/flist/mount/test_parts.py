"""Reads of parts of a large file's blocks: few bytes are read, and all are right, whatever the rows
of `zos_part` say."""

import errno
import json
import os
import random
import shutil
import sqlite3
import struct
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from flist.blocks.parts import ENTRY, LARGE_BYTES, PART_BYTES
from flist.format.database import FlistFile
from flist.model import CHUNK_BYTES
from flist.pack.known_files import RACY_NS
from tests.helpers.flist.mount import Mounted, mounted, rfs
from tests.helpers.flist.registry import make_layer, member, write_saved
from tests.helpers.waiting import wait_until

MIB = 1 << 20
SIZE = 40 * MIB + 1234
PAGE = 4096


class Sample(NamedTuple):
    """A tree with a large file, its flist, and the folder of its blocks."""

    tree: Path
    meta: Path
    blocks: Path
    content: bytes

    @property
    def store(self) -> str:
        """The store's URL."""
        return f"dir://{self.blocks}"

    def ids(self) -> list[bytes]:
        """Return the ids of the large file's blocks, first chunk first."""
        with FlistFile.open(self.meta) as flist:
            (ino,) = (inode.ino for inode in flist.inodes() if inode.name == b"large")
            return [block.id for block in flist.blocks(ino)]

    def path(self, block_id: bytes) -> Path:
        """Return where a block is."""
        return self.blocks / block_id.hex()[:2] / block_id.hex()


def make_content() -> bytes:
    """Return bytes of which some compress and some do not; no two chunks are equal."""
    dice = random.Random(7)
    half = dice.randbytes(SIZE // 2 + 1)
    return b"".join(half[at : at + 30_000] * 2 for at in range(0, len(half), 30_000))[:SIZE]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    top = tmp_path_factory.mktemp("parts")
    content = make_content()
    (top / "tree").mkdir()
    (top / "tree" / "large").write_bytes(content)
    (top / "tree" / "small").write_bytes(content[:MIB])
    rfs("pack", "--checksum", "-m", top / "a.fl", "-s", f"dir://{top}/blocks", top / "tree")
    return Sample(top / "tree", top / "a.fl", top / "blocks", content)


@pytest.fixture
def changed(sample: Sample, tmp_path: Path) -> Sample:
    """Return the sample with its own copy of the flist."""
    return sample._replace(meta=Path(shutil.copy(sample.meta, tmp_path / "changed.fl")))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the packs of this test their own cache."""
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "zos-cache"))


def places(seed: int, each: int = 1) -> list[int]:
    """Return offsets in every chunk in random order; some reads there cross the end of a part or
    chunk."""
    dice = random.Random(seed)
    found = [
        min(max(start + dice.randrange(CHUNK_BYTES), 0), SIZE - PAGE)
        for start in range(0, SIZE, CHUNK_BYTES)
        for _ in range(each)
    ]
    found += [dice.randrange(1, SIZE // PART_BYTES) * PART_BYTES - 1 for _ in range(8)]
    dice.shuffle(found)
    return found


def check_reads(mount: Mounted, content: bytes, offsets: list[int]) -> None:
    """Read 4 KiB at each offset and compare."""
    handle = os.open(mount.path / "large", os.O_RDONLY)
    try:
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
        for offset in offsets:
            assert os.pread(handle, PAGE, offset) == content[offset : offset + PAGE], offset
    finally:
        os.close(handle)


def fetched_bytes(mount: Mounted) -> int:
    """Return how many bytes a mount has fetched from its stores."""
    answer: dict[str, int] = json.loads(rfs("stats", "--json", mount.path).stdout)
    return answer["fetched_bytes"]


def bytes_read_by(mount: Mounted) -> int:
    """Return how much the mount's process has read so far, from files and from the kernel."""
    return int(Path(f"/proc/{mount.process.pid}/io").read_text().split()[1])


def rows_of(meta: Path) -> dict[bytes, bytes]:
    """Return the table of parts."""
    with FlistFile.open(meta) as flist:
        return flist.all_parts()


def test_rows_are_there_for_the_large_file_alone(sample: Sample) -> None:
    rows = rows_of(sample.meta)
    assert rows.keys() == set(sample.ids())
    assert {len(row) // ENTRY.size for row in rows.values()} == {8, 1}
    assert SIZE > LARGE_BYTES


def test_random_reads_from_a_folder(sample: Sample, tmp_path: Path) -> None:
    with mounted(sample.meta, tmp_path / "m") as mount:
        offsets = places(1)
        check_reads(mount, sample.content, offsets)
        stored = sum(sample.path(block_id).stat().st_size for block_id in sample.ids())
        assert 0 < fetched_bytes(mount) < stored / 4
        check_reads(mount, sample.content, places(2, each=4))
        assert (mount.path / "large").read_bytes() == sample.content


def test_random_reads_from_a_cache(sample: Sample, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    rfs("prefetch", "-m", sample.meta, "-c", cache)
    with mounted(sample.meta, tmp_path / "m", "--offline", "-c", cache) as mount:
        before = bytes_read_by(mount)
        check_reads(mount, sample.content, places(3))
        stored = sum(path.stat().st_size for path in cache.glob("*/*"))
        assert bytes_read_by(mount) - before < stored / 4
        assert (mount.path / "large").read_bytes() == sample.content


Change = Callable[[bytes, bytes], object]
NOTHING: list[object] = [None, 5, 0.5, "", "text", b"", bytes(1 << 20)]
HOSTILE: dict[str, Change] = {
    **{f"the value {value!r:.12}": lambda _row, _other, v=value: v for value in NOTHING},  # type: ignore[misc]
    "the row of another block": lambda _row, other: other,
    "an entry too few": lambda row, _: row[: -ENTRY.size],
    "an entry too many": lambda row, _: row + row[: ENTRY.size],
    "a byte too few": lambda row, _: row[:-1],
    "entries in the other order": lambda row, _: b"".join(
        row[at : at + ENTRY.size] for at in range(len(row) - ENTRY.size, -1, -ENTRY.size)
    ),
    "no lengths": lambda row, _: change_lengths(row, lambda _length: 0),
    "lengths one too short": lambda row, _: change_lengths(row, lambda length: length - 1),
    "lengths one too long": lambda row, _: change_lengths(row, lambda length: length + 1),
    "huge lengths": lambda row, _: change_lengths(row, lambda _length: 2**32 - 1),
    "lengths of half the block": lambda row, _: change_lengths(row, lambda _: CHUNK_BYTES // 2),
    "other hashes": lambda row, _: b"".join(
        row[at : at + 4] + bytes(16) for at in range(0, len(row), ENTRY.size)
    ),
    "any bytes": lambda row, _: random.Random(row).randbytes(len(row)),
}


def change_lengths(row: bytes, change: Callable[[int], int]) -> bytes:
    """Return a row with other lengths."""
    entries = ENTRY.iter_unpack(row)
    return b"".join(ENTRY.pack(change(length), part_hash) for length, part_hash in entries)


def write_hostile(sample: Sample) -> dict[str, int]:
    """Change one row in each way; return the index of its chunk by the way."""
    ids, chunks = sample.ids(), {}
    with closing(sqlite3.connect(sample.meta)) as database, database:
        rows = dict(database.execute("SELECT id, parts FROM zos_part"))
        for chunk, (name, change) in enumerate(HOSTILE.items(), 3):
            value = change(rows[ids[chunk]], rows[ids[chunk + 1]])
            database.execute("UPDATE zos_part SET parts = ? WHERE id = ?", (value, ids[chunk]))
            chunks[name] = chunk
    return chunks


def test_hostile_rows_never_give_wrong_bytes(changed: Sample, tmp_path: Path) -> None:
    chunks = write_hostile(changed)
    dice = random.Random(4)
    parts = [(name, number) for name in chunks for number in range(CHUNK_BYTES // PART_BYTES)]
    dice.shuffle(parts)  # so that chunks that were decoded whole leave the memory in between
    with mounted(changed.meta, tmp_path / "m", "--wait", "0") as mount:
        with (mount.path / "large").open("rb", buffering=0) as stream:
            for name, number in parts:
                start = chunks[name] * CHUNK_BYTES + number * PART_BYTES
                start += dice.randrange(PART_BYTES // PAGE) * PAGE
                data = os.pread(stream.fileno(), PAGE, start)
                assert data == changed.content[start : start + PAGE], (name, number)
        check_reads(mount, changed.content, places(5))
        assert (mount.path / "large").read_bytes() == changed.content


def test_a_table_of_another_shape_is_ignored(changed: Sample, tmp_path: Path) -> None:
    with closing(sqlite3.connect(changed.meta)) as database, database:
        database.execute("DROP TABLE zos_part")
        database.execute("CREATE TABLE zos_part (id TEXT, something)")
    with mounted(changed.meta, tmp_path / "m") as mount:
        check_reads(mount, changed.content, places(6)[:20])


def test_a_damaged_block_never_gives_wrong_bytes(changed: Sample, tmp_path: Path) -> None:
    """The intact parts of a damaged block can still be read."""
    blocks = Path(shutil.copytree(changed.blocks, tmp_path / "blocks"))
    damaged = changed._replace(blocks=blocks)
    spoiled, cut = damaged.path(changed.ids()[5]), damaged.path(changed.ids()[9])
    data = bytearray(spoiled.read_bytes())
    data[10] ^= 1  # in the first part
    spoiled.write_bytes(data)
    os.truncate(cut, cut.stat().st_size - 20)
    failed = []
    words = ["--store", damaged.store, "--wait", "0"]
    with (
        mounted(changed.meta, tmp_path / "m", *words) as mount,
        (mount.path / "large").open("rb", buffering=0) as stream,
    ):
        for chunk in (5, 9):
            for number in (3, 7, 0):
                start = chunk * CHUNK_BYTES + number * PART_BYTES + 8192
                try:
                    data_read = os.pread(stream.fileno(), PAGE, start)
                except OSError as error:
                    failed.append((chunk, number, error.errno))
                else:
                    assert data_read == changed.content[start : start + PAGE]
    assert failed == [(5, 0, errno.EIO), (9, 7, errno.EIO)]


def wait_settled(tree: Path) -> None:
    """Wait until every file is old enough to be recorded as known."""
    settled_ns = max(path.stat().st_ctime_ns for path in tree.iterdir()) + RACY_NS
    wait_until(lambda: time.time_ns() > settled_ns, "the files to be old enough")


def test_a_second_pack_gives_the_same_flist(
    sample: Sample, tmp_path: Path, own_cache: None
) -> None:
    """The record of known files has the rows, too: the second pack reads nothing, the third all."""
    wait_settled(sample.tree)
    read = []
    for number, words in enumerate([[], [], ["--checksum"], ["--processes", "1", "--checksum"]]):
        meta = tmp_path / f"{number}.fl"
        done = rfs("pack", "--json", *words, "-m", meta, "-s", sample.store, sample.tree)
        read.append(json.loads(done.stdout)["read_bytes"])
        assert meta.read_bytes() == sample.meta.read_bytes()
    assert read == [SIZE + MIB, 0, SIZE + MIB, SIZE + MIB]


def test_known_blocks_may_be_gone_from_the_store(
    sample: Sample, tmp_path: Path, own_cache: None
) -> None:
    wait_settled(sample.tree)
    expected = None
    for number in range(2):
        meta = tmp_path / f"{number}.fl"
        rfs("pack", "-m", meta, "-s", f"dir://{tmp_path}/new", sample.tree)
        expected = expected or meta.read_bytes()
        assert meta.read_bytes() == expected
        assert rows_of(meta) == rows_of(sample.meta)
        for block_id in sample.ids()[10:20]:
            sample._replace(blocks=tmp_path / "new").path(block_id).unlink()


def test_a_merged_flist_keeps_the_rows(sample: Sample, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "more").write_text("more")
    rfs("pack", "-m", tmp_path / "b.fl", "-s", f"dir://{tmp_path}/b", tmp_path / "other")
    rfs("merge", "-o", tmp_path / "c.fl", tmp_path / "b.fl", sample.meta)
    assert rows_of(tmp_path / "c.fl") == rows_of(sample.meta)
    (tmp_path / "other" / "large").write_text("it hides the large one")
    rfs("pack", "-m", tmp_path / "b.fl", "-s", f"dir://{tmp_path}/b", tmp_path / "other")
    rfs("merge", "-o", tmp_path / "d.fl", tmp_path / "b.fl", sample.meta)
    assert rows_of(tmp_path / "d.fl").keys() == set(sample.ids()[:2])  # the small file has them


def test_a_merged_flist_takes_rows_from_the_flist_of_the_file(
    sample: Sample, changed: Sample, tmp_path: Path
) -> None:
    """Another flist with the same blocks may have wrong rows."""
    with closing(sqlite3.connect(changed.meta)) as database, database:
        database.execute("UPDATE zos_part SET parts = zeroblob(length(parts))")
    rfs("merge", "-o", tmp_path / "c.fl", sample.meta, changed.meta)
    assert rows_of(tmp_path / "c.fl") == rows_of(sample.meta)
    with closing(sqlite3.connect(changed.meta)) as database, database:
        database.execute("DROP TABLE zos_part")
    rfs("merge", "-o", tmp_path / "d.fl", changed.meta, sample.meta)
    assert rows_of(tmp_path / "d.fl") == {}


def test_a_converted_flist_has_the_rows_of_its_blocks(changed: Sample, tmp_path: Path) -> None:
    rows = rows_of(changed.meta)
    with closing(sqlite3.connect(changed.meta)) as connection:
        connection.execute("DROP TABLE zos_part")  # like a flist of upstream
        connection.commit()
    assert rows_of(changed.meta) == {}
    rfs("convert", "-m", changed.meta, "-o", tmp_path / "b.fl", "-s", f"dir://{tmp_path}/b")
    assert rows_of(tmp_path / "b.fl") == rows
    assert rfs("verify", "-m", tmp_path / "b.fl").stdout == ""


def test_a_flist_of_an_image_has_the_rows_of_its_tree(sample: Sample, tmp_path: Path) -> None:
    layer = make_layer(member("large", sample.content), member("small", sample.content[:MIB]))
    image = write_saved(tmp_path / "a.tar", [layer], "a:1")
    rfs("docker", "--archive", image, "-m", tmp_path / "b.fl", "-s", f"dir://{tmp_path}/b")
    assert rows_of(tmp_path / "b.fl") == rows_of(sample.meta)


def test_verify_names_the_file_of_a_wrong_row(changed: Sample) -> None:
    done = rfs("verify", "-m", changed.meta)
    assert done.stdout == ""
    chunks = write_hostile(changed)
    done = rfs("verify", "-m", changed.meta, check=False)
    assert done.returncode == 1
    faults = done.stdout.splitlines()
    assert len(faults) == len(chunks)
    assert all(fault.startswith("/large: ") for fault in faults)
    assert rfs("verify", "--no-blocks", "-m", changed.meta).returncode == 0


def test_verify_finds_an_entry_of_another_part(changed: Sample) -> None:
    """The entry of the second part has the place and the hash of the first."""
    block_id = changed.ids()[2]
    row = rows_of(changed.meta)[block_id]
    first = row[: ENTRY.size]
    row = struct.pack("<I", 0) + first[4:] + first + row[2 * ENTRY.size :]
    with closing(sqlite3.connect(changed.meta)) as database, database:
        database.execute("UPDATE zos_part SET parts = ? WHERE id = ?", (row, block_id))
    done = rfs("verify", "-m", changed.meta, check=False)
    assert done.stdout.startswith(f"/large: block {block_id.hex()}")
    assert done.stdout.count("\n") == 1


def test_verify_offline_takes_blocks_from_the_cache(sample: Sample, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    rfs("prefetch", "-m", sample.meta, "-c", cache)
    assert rfs("verify", "-m", sample.meta, "--offline", "-c", cache).stdout == ""
    gone = sample._replace(blocks=cache).path(sample.ids()[0])
    gone.unlink()
    done = rfs("verify", "-m", sample.meta, "--offline", "-c", cache, check=False)
    assert "/large: block" in done.stdout
    assert "not in the cache" in done.stdout
