"""The files that are guessed from one that is read."""

from flist.mount.ahead.neighbours import (
    FAMILY_BYTES,
    FOLDER_BYTES,
    MAX_FOLDERS,
    SMALL_BYTES,
    choose_neighbours,
)
from flist.mount.tree import Tree
from tests.helpers.flist.tree import PathSource


def choose(paths: dict[bytes, int | bytes | None], read: bytes) -> list[bytes]:
    """Return the names of the guesses when `read` is read."""
    tree = Tree(PathSource(paths))
    return [inode.name for inode in choose_neighbours(tree, tree.find(read))]


def test_later_files_of_the_directory_come_before_earlier_ones() -> None:
    names = [b"/a", b"/b", b"/c", b"/d"]
    assert choose(dict.fromkeys(names, 10), b"/b") == [b"c", b"d", b"a"]


def test_large_and_empty_files_links_and_programs_are_left_out() -> None:
    paths: dict[bytes, int | bytes | None] = {b"/a": 1, b"/large": SMALL_BYTES + 1, b"/empty": 0}
    paths |= {b"/link": b"a", b"/lib.so": 5, b"/lib.so.1": 5, b"/folder": None, b"/z": SMALL_BYTES}
    assert choose(paths, b"/a") == [b"z"]


def test_packages_beside_a_modules_own_are_guessed_small_ones_first() -> None:
    paths: dict[bytes, int | bytes | None] = {
        b"/lib": None,
        b"/lib/os.py": 10,
        b"/lib/notes.txt": 10,
        b"/lib/re": None,
        b"/lib/re/parser.py": 500,
        b"/lib/json": None,
        b"/lib/json/tool.py": 20,
        b"/lib/json/data.bin": 20,
        b"/lib/huge": None,
        b"/lib/huge/one.py": SMALL_BYTES,
        b"/lib/huge/two.py": SMALL_BYTES,
        b"/lib/huge/three.py": FOLDER_BYTES + 1 - 2 * SMALL_BYTES,
        b"/lib/codec": None,
        b"/lib/codec/first.py": 10,
        b"/lib/codec/README": 10,
        b"/lib/codec/sub": None,
        b"/lib/codec/sub/below.py": 10,
    }
    beside = [b"os.py", b"tool.py", b"parser.py"]
    assert choose(paths, b"/lib/codec/first.py") == [b"README", b"below.py", *beside]
    assert choose(paths, b"/lib/codec/README") == [b"first.py"]


def test_a_guess_has_its_limits() -> None:
    many: dict[bytes, int | bytes | None] = {b"/f%d" % i: SMALL_BYTES for i in range(200)}
    assert len(choose(many, b"/f7")) == FAMILY_BYTES // SMALL_BYTES
    folders: dict[bytes, int | bytes | None] = {b"/x": None, b"/x/a.py": 1}
    for number in range(MAX_FOLDERS + 1):
        folders |= {b"/x/d%d" % number: None, b"/x/d%d/b.py" % number: 1}
    assert choose(folders, b"/x/a.py") == []
