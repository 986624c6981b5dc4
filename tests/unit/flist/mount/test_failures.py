"""What a mount says when it can't answer, and how often."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from flist.errors import FlistError
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import CHUNK_BYTES, Block, Inode, Route
from flist.mount.failures import MOST_LINES, WINDOW_S, Failures, path_of
from flist.mount.reader import Reader
from flist.store.sources import Sources, open_reader

INODES = [
    Inode(1, 0, b"/", 4096, 0, 0, 0o40755, 0, 0, 0),
    Inode(2, 1, b"folder", 4096, 0, 0, 0o40755, 0, 0, 0),
    Inode(3, 2, b"fi\x1ble", 2 * CHUNK_BYTES, 0, 0, 0o100644, 0, 0, 0),
    Inode(4, 5, b"round", 4096, 0, 0, 0o40755, 0, 0, 0),
    Inode(5, 4, b"and round", 4096, 0, 0, 0o40755, 0, 0, 0),
    Inode(6, 99, b"orphan", 4096, 0, 0, 0o40755, 0, 0, 0),
]
BLOCKS = {3: [Block(b"a" * 32, b"a" * 32), Block(b"b" * 32, b"b" * 32)]}
A, B = (block.id.hex() for block in BLOCKS[3])


@pytest.fixture(name="reader")
def open_sample(tmp_path: Path) -> Iterator[Reader]:
    """Write and open a flist that leads to odd places."""
    routes = [Route(0, 255, "dir:///nowhere")]
    write_flist(tmp_path / "a.fl", Tables(INODES, BLOCKS, {}, {}, routes))
    with open_reader(tmp_path / "a.fl", Sources()) as reader:
        yield reader


@pytest.mark.parametrize(
    ("offset", "reason", "named"),
    [
        (0, "no route", f"no route (block {A})"),
        (CHUNK_BYTES - 1, "no route", f"no route (block {A} or {B})"),
        (CHUNK_BYTES, f"block {B} is refused", f"block {B} is refused"),
    ],
)
def test_a_read_that_fails_is_told_with_file_block_and_reason(
    reader: Reader, capsys: pytest.CaptureFixture[str], offset: int, reason: str, named: str
) -> None:
    inode = reader.tree.inode(3)
    Failures(Path("/mnt")).note_read(reader, inode, 100, offset, FlistError(reason))
    told = capsys.readouterr().err
    expected = f"rfs mount: cannot read /mnt/folder/fi\\x1ble at byte {offset}: {named}\n"
    assert told == expected


def test_a_path_that_leads_nowhere_or_round_in_circles(reader: Reader) -> None:
    inodes = {inode.ino: inode for inode in INODES}
    assert [path_of(reader.tree, inodes[ino]) for ino in (1, 2, 3)] == [
        "/", "/folder", "/folder/fi\x1ble",
    ]  # fmt: skip
    for ino in (4, 5, 6):
        assert path_of(reader.tree, inodes[ino]) == f" (inode {ino})"


def test_thousands_of_failures_are_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    now = 100.0
    failures = Failures(Path("/mnt"), lambda: now)
    for _ in range(1000):
        failures.note("read", FlistError("it is gone"))
    assert capsys.readouterr().err == "rfs mount: cannot read: it is gone\n" * MOST_LINES
    now += WINDOW_S
    failures.note("read", FlistError("it is gone again"))
    assert capsys.readouterr().err.splitlines() == [
        f"rfs mount: {1000 - MOST_LINES} more could not be answered",
        "rfs mount: cannot read: it is gone again",
    ]
