"""Node numbers, and the change to another version of a flist."""

import pytest

from flist.errors import FlistError
from flist.model import ROOT_INO
from flist.mount.fuse.versions import VERSION_SHIFT, Place, Versions
from flist.mount.reader import Reader
from flist.mount.tree import Tree
from flist.store.fetch import Fetcher
from tests.helpers.flist.tree import PathSource


def make_reader(*names: bytes, xattrs: frozenset[bytes] = frozenset()) -> Reader:
    """Return a version with empty files, and these extended attributes somewhere."""
    source = PathSource({b"/" + name: 0 for name in names})
    source.xattr_names = lambda: set(xattrs)  # type: ignore[method-assign]
    return Reader(Tree(source), Fetcher(None, None))


def test_a_node_number_names_an_inode_of_one_version() -> None:
    versions = Versions(make_reader(b"old"))
    versions.add(make_reader(b"new"))
    for place in (Place(0, 2), Place(1, 2)):
        assert versions.locate(place.nodeid) == place
    assert versions.find(2)[1].name == b"old"
    reader, inode = versions.find(2 | 1 << VERSION_SHIFT)
    assert inode.name == b"new"
    assert versions.fields(1, inode)[0] == 2 | 1 << VERSION_SHIFT
    assert versions.tree(1) is reader.tree
    for nodeid in (3, 2 | 2 << VERSION_SHIFT):
        with pytest.raises(FileNotFoundError):
            versions.find(nodeid)


def test_the_root_is_that_of_the_newest_version() -> None:
    versions = Versions(make_reader(b"a", b"b"))
    assert versions.locate(ROOT_INO) == Place(0, ROOT_INO)
    assert versions.add(make_reader(b"b", b"c")) == [b"a", b"b", b"c"]
    assert versions.locate(ROOT_INO) == Place(1, ROOT_INO)
    assert Place(1, ROOT_INO).nodeid == ROOT_INO


@pytest.mark.parametrize("name", [b"user.color", b"system.posix_acl_access"])
def test_a_version_with_new_attributes_is_refused(name: bytes) -> None:
    new = make_reader(xattrs=frozenset([name]))
    versions = Versions(make_reader())
    with pytest.raises(FlistError, match="cannot change the flist"):
        versions.add(new)
    assert len(versions.readers) == 1
    versions.expects_xattrs = True
    versions.add(new)
    versions.add(make_reader())
    assert len(versions.readers) == 3
