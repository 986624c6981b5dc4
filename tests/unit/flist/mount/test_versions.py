"""Node numbers, and the change to another version of a flist."""

import pytest

from flist.errors import FlistError
from flist.model import ROOT_INO
from flist.mount.fuse import wire
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


def test_a_version_is_dropped_when_the_kernel_has_forgotten_its_nodes() -> None:
    readers = [make_reader(b"a") for _ in range(4)]
    versions = Versions(readers[0])
    versions.note_lookups(0, 3)
    for reader in readers[1:]:
        versions.add(reader)
    readers[1].fetcher.statistics.note_fetch(10, 2.0)
    assert versions.sweep() == readers[1:3]  # the newest stays, and one that is known
    assert versions.readers == {0: readers[0], 3: readers[3]}
    versions.note_lookups(1, -1)  # too late
    versions.note_lookups(0, -2)
    assert versions.sweep() == []
    versions.note_lookups(0, -1)
    assert versions.sweep() == [readers[0]]
    with pytest.raises(FileNotFoundError):
        versions.find(2)
    statistics, count = versions.statistics()
    assert (count, sum(one.fetched for one in statistics)) == (4, 1)
    assert max(one.slowest_s for one in statistics) == 2.0
    assert not versions.has_xattrs and not versions.has_acls


def test_the_nodes_of_both_kinds_of_forget() -> None:
    one = wire.Request(wire.FORGET, 1, 5, memoryview(wire.FORGET_IN.pack(2)))
    assert wire.parse_forget(one) == [(5, 2)]
    pairs = wire.FORGET_ONE.pack(7, 1) + wire.FORGET_ONE.pack(8, 3)
    body = memoryview(wire.BATCH_FORGET_IN.pack(2, 0) + pairs)
    assert wire.parse_forget(wire.Request(wire.BATCH_FORGET, 1, 0, body)) == [(7, 1), (8, 3)]
