"""The archive of a flist's tree: the same tree gives the same bytes, and they say all of it."""

import io
import tarfile

import pytest

from image.errors import FormatError
from image.formats.tar import read_tar, write_tar
from image.model import Device, Directory, File, Symlink
from image.tree import Tree

LONG = "/".join(["folder"] * 40)  # longer than the header has room for


def make_tree() -> Tree:
    tree = Tree()
    shared = File(b"x" * 1000, 0o755)
    tree.add("usr/bin/a", shared)
    tree.add("usr/bin/b", shared)
    tree.add("usr/bin/own", File(b"x" * 1000, 0o755))
    tree.add("tmp", Directory(0o1777))
    tree.add("bin", Symlink("usr/bin"))
    tree.add("dev/null", Device("c", 1, 3, 0o666))
    tree.add("etc/shadow", File(b"", 0o600, 7, 8))
    tree.add(f"{LONG}/ünïcode", File(b"long"))
    return tree


def test_the_same_tree_gives_the_same_bytes() -> None:
    assert write_tar(make_tree(), 5) == write_tar(make_tree(), 5)
    assert write_tar(make_tree(), 5) != write_tar(make_tree(), 6)


def test_members_say_what_the_tree_says() -> None:
    members = {member.name: member for member in read_tar(write_tar(make_tree(), 5))}
    assert list(members) == list(make_tree())
    assert {member.mtime for member in members.values()} == {5}
    assert oct(members["tmp"].mode) == "0o41777"
    assert (members["bin"].content, oct(members["bin"].mode)) == (b"usr/bin", "0o120777")
    assert members["dev/null"].device == (1, 3)
    assert (members["etc/shadow"].uid, members["etc/shadow"].gid) == (7, 8)
    assert members[f"{LONG}/ünïcode"].content == b"long"
    assert members["usr/bin/b"].content == members["usr/bin/a"].content == b"x" * 1000


def test_one_file_at_two_paths_is_a_hard_link_without_names_of_users() -> None:
    with tarfile.open(fileobj=io.BytesIO(write_tar(make_tree(), 5))) as archive:
        rows = {info.name: info for info in archive}
    assert rows["usr/bin/b"].islnk() and rows["usr/bin/b"].linkname == "usr/bin/a"
    assert rows["usr/bin/own"].isreg()
    assert {info.uname + info.gname for info in rows.values()} == {""}


@pytest.mark.parametrize("data", [b"", b"x" * 512, write_tar(make_tree(), 5)[:1500]])
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError, match="cannot read the archive"):
        read_tar(data)
