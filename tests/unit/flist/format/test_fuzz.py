"""Damaged and malicious metadata: the flist is refused, or the affected files give EIO."""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from flist.errors import FlistError
from flist.format.database import FlistFile
from flist.store.sources import Sources, open_reader
from tests.helpers.flist.fuzz import Sample, exercise, make_sample

EXAMPLES = int(os.environ.get("ZOS_FUZZ_EXAMPLES", "100"))
bounded = settings(
    max_examples=EXAMPLES, deadline=None, database=None, derandomize=EXAMPLES <= 100,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip

COLUMNS = {
    "inode": ("ino", "parent", "name", "size", "uid", "gid", "mode", "rdev", "ctime", "mtime"),
    "extra": ("ino", "data"),
    "block": ("ino", "id", "key", "rowid"),
    "tag": ("key", "value"),
    "route": ("start", "end", "url"),
    "zos_inode": ("ino", "name", "ctime_ns", "mtime_ns", "same_as", "nlink", "extents"),
    "zos_xattr": ("ino", "name", "value"),
    "zos_check": ("ino", "checks"),
    "zos_part": ("id", "parts"),
}
EDGES: list[Any] = [
    0, 1, 2, 5, 9, -1, 2**16, 2**31, 2**32 - 1, 2**32, 2**33, 2**62, 2**63 - 1, -(2**63),
    0o040755, 0o100644, 0o120777, 0o060600, 0o170000, 524288, 524289, None, 0.5, 1e300,
    "", ".", "..", "a/b", "/", "nul\0nul", "x" * 256, "x" * 5000, "folder", "file4", "http://[",
    "dir:///", "http://h:99999/", b"", b"..", b"../../x", b"nul\0nul", b"\xff" * 32, b"\0" * 31,
    b"\0" * 16, b"\xff" * 288, b"x" * 5000,
]  # fmt: skip
CELLS = st.sampled_from([(table, column) for table, names in COLUMNS.items() for column in names])
VALUES = st.one_of(
    st.sampled_from(EDGES), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=64),
    st.text(max_size=20).filter(lambda text: text.isprintable()),
)  # fmt: skip
EDITS = st.lists(st.tuples(CELLS, st.integers(0, 15), VALUES), min_size=1, max_size=3)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture
def copy(sample: Sample, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "damaged.fl"
    shutil.copy(sample.meta, path)
    yield path


def run_sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for statement in statements:
            connection.execute(statement)
    finally:
        connection.close()


def edit(path: Path, edits: list[tuple[tuple[str, str], int, Any]]) -> None:
    """Set cells; a change that SQLite refuses (a duplicate key) is skipped."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        for (table, column), row, value in edits:
            key = {"zos_xattr": "ino", "zos_part": "id"}.get(table, "rowid")
            pick = f"(SELECT {key} FROM {table} LIMIT 1 OFFSET"
            pick += f" {row} % max(1, (SELECT count(*) FROM {table})))"
            try:
                connection.execute(
                    f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {key} = {pick}", (value,)
                )
            except sqlite3.Error:
                continue
    finally:
        connection.close()


def test_the_undamaged_flist_is_read_completely(sample: Sample) -> None:
    assert exercise(sample.meta, sample) == "read"


@bounded
@given(edits=EDITS)
@example(edits=[(("zos_inode", "nlink"), 4, 2**40)])
@example(edits=[(("inode", "ino"), 3, -5)])
@example(edits=[(("inode", "mode"), 3, 0)])
@example(edits=[(("inode", "size"), 2, -(2**40))])
@example(edits=[(("extra", "data"), 0, b"nul\0nul")])
@example(edits=[(("extra", "data"), 0, b"x" * 5000)])
@example(edits=[(("zos_inode", "extents"), 7, b"\xff" * 160)])
@example(edits=[(("zos_xattr", "name"), 0, b"user.\0")])
@example(edits=[(("zos_check", "checks"), row, None) for row in range(5)])
@example(edits=[(("zos_check", "checks"), row, b"\xff" * 32) for row in range(9)])
@example(edits=[(("zos_check", "checks"), 1, "text"), (("zos_check", "ino"), 2, 10**9)])
@example(edits=[(("zos_part", "parts"), row, None) for row in range(5)])
@example(edits=[(("zos_part", "parts"), row, b"\xff" * 288) for row in range(5)])
@example(edits=[(("zos_part", "id"), 1, 5), (("zos_part", "parts"), 2, 0.5)])
@example(edits=[(("inode", "parent"), 1, 2), (("inode", "parent"), 11, 2)])
def test_cells_of_any_value(sample: Sample, copy: Path, edits: Any) -> None:
    shutil.copy(sample.meta, copy)
    edit(copy, edits)
    exercise(copy, sample)


@bounded
@given(
    flips=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=8)),
        min_size=1,
        max_size=6,
    )
)
def test_pages_with_flipped_bytes(sample: Sample, copy: Path, flips: Any) -> None:
    data = bytearray(sample.meta.read_bytes())
    for place, value in flips:
        start = int(place * (len(data) - len(value)))
        data[start : start + len(value)] = value
    copy.write_bytes(data)
    exercise(copy, sample)


@bounded
@given(
    source=st.integers(0, 40), target=st.integers(0, 40), cut=st.floats(0, 1),
    tail=st.binary(max_size=5000),
)  # fmt: skip
def test_pages_swapped_cut_and_grown(
    sample: Sample, copy: Path, source: int, target: int, cut: float, tail: bytes
) -> None:
    data = bytearray(sample.meta.read_bytes())
    pages = len(data) // 4096
    source, target = source % pages * 4096, target % pages * 4096
    data[target : target + 4096] = data[source : source + 4096]
    copy.write_bytes(data[: int(len(data) * cut)] + tail)
    exercise(copy, sample)


@pytest.mark.parametrize("data", [b"", b"\x1f\x8b", b"SQLite format 3\0", b"garbage" * 1000])
def test_a_file_that_is_not_a_flist_is_refused(sample: Sample, copy: Path, data: bytes) -> None:
    copy.write_bytes(data)
    assert exercise(copy, sample) == "refused"


@pytest.mark.parametrize("table", ["inode", "extra", "block", "tag", "route"])
def test_a_missing_table_is_refused(sample: Sample, copy: Path, table: str) -> None:
    run_sql(copy, f"DROP TABLE {table}")
    assert exercise(copy, sample) == "refused"


def test_a_generated_column_is_refused(sample: Sample, copy: Path) -> None:
    """Every read would compute it, however much time and memory that takes."""
    others = [name for name in COLUMNS["inode"] if name != "name"]
    words = ", ".join([f"{name} INTEGER" for name in others] + ["name AS (zeroblob(1000))"])
    columns = ", ".join(others)
    run_sql(
        copy, "ALTER TABLE inode RENAME TO old", f"CREATE TABLE inode ({words})",
        f"INSERT INTO inode ({columns}) SELECT {columns} FROM old", "DROP TABLE old",
    )  # fmt: skip
    with pytest.raises(FlistError, match="not a plain table"):
        FlistFile.open(copy)


def test_two_entries_with_the_same_name(sample: Sample, copy: Path) -> None:
    run_sql(copy, "UPDATE inode SET name = 'same', parent = 1 WHERE ino IN (4, 5, 9)")
    exercise(copy, sample)
    with open_reader(copy, Sources([sample.store], None)) as reader:
        assert [name for name in reader.tree.entries(1) if name == b"same"] == [b"same"]


def test_a_cycle_of_directories_does_not_loop_forever(sample: Sample, copy: Path) -> None:
    run_sql(copy, "UPDATE inode SET parent = 12 WHERE ino = 2")
    exercise(copy, sample)
    run_sql(copy, "UPDATE inode SET parent = 2 WHERE ino = 1")
    exercise(copy, sample)


@pytest.mark.parametrize("name", ["a/b", "..", ".", "", "nul\0", "x" * 256])
def test_a_forbidden_name_hides_its_directory_only(sample: Sample, copy: Path, name: str) -> None:
    edit(copy, [(("inode", "name"), 3, name)])  # inode 4, in the root
    edit(copy, [(("zos_inode", "name"), 3, None)])
    with open_reader(copy, Sources([sample.store], None)) as reader:
        with pytest.raises(FlistError):
            reader.tree.entries(1)
        assert reader.tree.entries(2)
    exercise(copy, sample)
