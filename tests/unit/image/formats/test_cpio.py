"""newc archives: golden bytes, links, devices, and invalid input."""

import stat
import subprocess
from pathlib import Path

import pytest

from image.errors import FormatError
from image.formats.cpio import TRAILER, read_archive, read_archive_at, write_archive
from image.model import Device, Directory, File, Symlink
from image.tree import Tree
from tests.helpers.needs import need_tool

GOLDEN = (
    b"07070100000001000041ED00000000000000000000000200000007"
    b"00000000000000000000000000000000000000000000000400000000"
    b"dev\0\0\0"
    b"070701000000020000218000000000000000050000000100000007"
    b"00000000000000000000000000000005000000010000000C00000000"
    b"dev/console\0\0\0"
    b"07070100000003000081A4000003E8000000000000000100000007"
    b"00000005000000000000000000000000000000000000000200000000"
    b"f\0hello\0\0\0"
    b"070701000000040000A1FF00000000000000000000000100000007"
    b"00000001000000000000000000000000000000000000000200000000"
    b"l\0f\0\0\0"
    b"070701000000000000000000000000000000000000000100000000"
    b"00000000000000000000000000000000000000000000000B00000000"
    b"TRAILER!!!\0\0\0\0"
)  # fmt: skip


def small_tree() -> Tree:
    """Return one entry of each kind, unsorted."""
    tree = Tree()
    tree.add("l", Symlink("f"))
    tree.add("f", File(b"hello", uid=1000))
    tree.add("dev/console", Device("c", 5, 1, gid=5))
    return tree


def test_golden_bytes() -> None:
    written = write_archive(small_tree(), 7)
    assert written.rstrip(b"\0") == GOLDEN.rstrip(b"\0")
    assert len(written) % 512 == 0


def test_a_written_archive_is_read_back() -> None:
    members = {member.name: member for member in read_archive(GOLDEN)}
    assert list(members) == ["dev", "dev/console", "f", "l"]
    assert members["dev/console"].device == (5, 1)
    assert stat.S_ISCHR(members["dev/console"].mode)
    assert members["f"].content == b"hello"
    assert (members["f"].uid, members["f"].mtime) == (1000, 7)
    assert members["l"].content == b"f"


def test_hard_links_share_an_inode_and_the_last_has_the_content() -> None:
    tree, file = Tree(), File(b"same")
    for name in ("b", "a", "c"):
        tree.add(name, file)
    tree.add("d", File(b"same"))
    members = read_archive(write_archive(tree, 0))
    assert [(m.inode, m.links, m.content) for m in members] == [
        (1, 3, b""),
        (1, 3, b""),
        (1, 3, b"same"),
        (2, 1, b"same"),
    ]


def test_concatenated_archives() -> None:
    both = GOLDEN + write_archive(Tree(), 0)
    members, end = read_archive_at(both, 0)
    assert len(members) == 4
    assert end == len(GOLDEN)
    members, end = read_archive_at(both, end)
    assert (members, both[end:].strip(b"\0")) == ([], b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        GOLDEN[:50],
        GOLDEN[:-16],
        b"070702" + GOLDEN[6:],
        GOLDEN.replace(b"000041ED", b"0000zzzz"),
        GOLDEN.replace(b"00000005" + b"0" * 32, b"7FFFFFFF" + b"0" * 32),
    ],
)
def test_an_invalid_archive_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_archive(data)


def test_every_truncation_is_refused() -> None:
    for length in range(len(GOLDEN) - 3):
        with pytest.raises(FormatError):
            read_archive(GOLDEN[:length])


def test_gnu_cpio_reads_the_archive(tmp_path: Path) -> None:
    need_tool("cpio")
    tree = small_tree()
    tree.add("empty", Directory(0o1777))
    done = subprocess.run(
        ["cpio", "-t", "--quiet"],
        input=write_archive(tree, 0),
        capture_output=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout.split() == [b"dev", b"dev/console", b"empty", b"f", b"l"]
    assert TRAILER.encode() not in done.stdout
