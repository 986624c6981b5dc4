"""A file system in memory: parents, order, conflicts, links."""

import pytest

from image.errors import ImageError
from image.model import Directory, File, Symlink
from image.tree import Tree, matches


def test_parents_are_added_and_come_first() -> None:
    tree = Tree()
    tree.add("usr/bin/x", File(b"1"))
    tree.add("usr/bin-x", File(b"2"))
    assert list(tree) == ["usr", "usr/bin", "usr/bin-x", "usr/bin/x"]
    assert tree["usr/bin"] == Directory(0o755)


def test_only_a_directory_can_be_added_twice() -> None:
    tree = Tree()
    tree.add("a/b", File(b""))
    tree.add("a", Directory(0o700))
    assert tree["a"] == Directory(0o700)
    with pytest.raises(ImageError, match="two things"):
        tree.add("a/b", File(b""))
    with pytest.raises(ImageError, match="two things"):
        tree.add("a", Symlink("b"))
    with pytest.raises(ImageError, match="not a directory"):
        tree.add("a/b/c", File(b""))


@pytest.mark.parametrize("path", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\nb", "a\0"])
def test_invalid_paths(path: str) -> None:
    with pytest.raises(ImageError):
        Tree().add(path, File(b""))


@pytest.mark.parametrize(
    ("path", "leads"),
    [
        ("lib64/ld.so", "usr/lib/x/ld.so"),
        ("lib/x/ld.so", "usr/lib/x/ld.so"),
        ("loop/a", None),
        ("nowhere", None),
        ("usr/../lib", "usr/lib"),
    ],
)
def test_links_are_followed(path: str, leads: str | None) -> None:
    tree = Tree()
    tree.add("usr/lib/x/ld.so", File(b""))
    tree.add("lib", Symlink("usr/lib"))
    tree.add("lib64", Symlink("usr/lib64"))
    tree.add("usr/lib64/ld.so", Symlink("/usr/lib/x/ld.so"))
    tree.add("loop", Symlink("loop"))
    assert tree.resolve(path) == leads


def test_hard_links_count_once() -> None:
    tree, file = Tree(), File(b"12345")
    tree.add("a", file)
    tree.add("b", file)
    assert tree.size_bytes() == 5


def test_globs_cross_slashes() -> None:
    assert matches("fs/ext4/ext4.ko", ["fs/*"])
    assert not matches("fs/ext4/ext4.ko", ["net/*", "fs"])
