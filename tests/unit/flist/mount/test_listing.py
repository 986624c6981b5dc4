"""Listings of directories, and that prepared ones equal those made on request."""

import random
import struct

import pytest

from flist.errors import FormatError
from flist.model import ROOT_INO, Inode
from flist.mount.fuse import wire
from flist.mount.fuse.listing import Listings, Question, folders
from flist.mount.fuse.versions import Place
from flist.mount.tree import Tree
from tests.unit.flist.mount.test_sequence import DIR, FILE, FakeTree, make_tree

SIZE = 4096


def make_listings(source: FakeTree) -> Listings:
    """Return listings of a tree."""
    tree = Tree(source)

    def fields(_version: int, inode: Inode) -> tuple[int, ...]:
        return wire.attributes(inode, inode.nlink, 0)

    return Listings(lambda _version: tree, fields)


def read_entries(data: bytes) -> list[tuple[int, bytes]]:
    """Return the offsets and names in an answer to READDIRPLUS."""
    entries = []
    while data:
        offset, length = struct.unpack_from("<QI", data, wire.DIRENT_PLUS.size - 16)
        start = wire.DIRENT_PLUS.size
        entries.append((offset, data[start : start + length]))
        data = data[start + -(-length // 8) * 8 :]
    return entries


def list_all(listings: Listings, place: Place, size: int = SIZE) -> list[bytes]:
    """Return the names in a directory, requested as the kernel does."""
    names: list[bytes] = []
    question = Question(place, 0, size)
    while data := listings.answer(question):
        assert len(data) <= size
        entries = read_entries(data)
        names += [name for _, name in entries]
        question = question._replace(offset=entries[-1][0])
    listings.foresee(question)
    return names


def test_a_listing_comes_in_parts() -> None:
    source = FakeTree([(1, 1, DIR, 0)] + [(ino, 1, FILE, 0) for ino in range(2, 100)])
    listings = make_listings(source)
    names = [b".", b"..", *(b"%d" % ino for ino in range(2, 100))]
    for size in (400, 1000, SIZE, 1 << 20):
        assert list_all(listings, Place(0, ROOT_INO), size) == names
    only_names = b"".join(
        listings.names(Question(Place(0, ROOT_INO), offset, 1000)) for offset in range(0, 100, 30)
    )
    assert only_names.count(b"99") == 1


def test_a_walk_finds_each_next_directory_prepared() -> None:
    source = make_tree()
    listings = make_listings(source)
    other = make_listings(source)
    walk = [ROOT_INO, *(inode.ino for inode in folders(Tree(source), ROOT_INO))]
    assert walk == [1, 2, 8, 4]
    for count, ino in enumerate(walk):
        place = Place(0, ino)
        first = Question(place, 0, SIZE)
        assert (listings.prepared[0] == first) == (count >= 2)
        assert listings.answer(first) == other.answer(first)
        list_all(listings, place)


def test_a_large_directory_is_listed_only_on_request() -> None:
    source = make_tree()
    source.large = {4}
    listings = make_listings(source)
    for ino in (1, 2, 8):
        list_all(listings, Place(0, ino))
    assert 4 not in source.listed
    assert len(list_all(listings, Place(0, 4))) == 4


def test_answers_are_right_in_any_order_of_requests() -> None:
    source = make_tree()
    listings = make_listings(source)
    choose = random.Random(1)
    for _ in range(300):
        place = Place(0, choose.choice([1, 2, 4, 8]))
        question = Question(place, choose.randrange(4), choose.choice([0, 300, SIZE]))
        assert listings.answer(question) == make_listings(source).answer(question)
        listings.foresee(question)


def test_a_damaged_directory_fails_only_its_own_request() -> None:
    source = make_tree()
    listings = make_listings(source)
    list_all(listings, Place(0, 2))
    listings.answer(Question(Place(0, 8), 0, SIZE))
    source.is_damaged = True
    listings.foresee(Question(Place(0, 8), 4, SIZE))
    assert listings.prepared == (None, b"", 0)
    with pytest.raises(FormatError):
        listings.answer(Question(Place(0, 4), 0, SIZE))


def test_a_cycle_of_directories_hangs_nothing() -> None:
    source = FakeTree([(1, 1, DIR, 0), (2, 3, DIR, 0), (3, 2, DIR, 0)])
    listings = make_listings(source)
    for ino in (2, 3, 2, 3, 3, 2):
        list_all(listings, Place(0, ino))


def test_a_large_directory_is_listed_page_by_page() -> None:
    """Nothing of it is kept, so two that are listed alternately do not displace each other."""
    rows = [(1, 1, DIR, 0), (2, 1, DIR, 0), (3, 1, DIR, 0)]
    rows += [(ino, 2 + ino % 2, FILE, 0) for ino in range(10, 510)]
    source = FakeTree(rows)
    source.large = {2, 3}
    listings = make_listings(source)
    names: dict[int, list[bytes]] = {2: [], 3: []}
    questions = {ino: Question(Place(0, ino), 0, SIZE) for ino in names}
    while questions:
        for ino, question in list(questions.items()):
            entries = read_entries(listings.answer(question))
            names[ino] += [name for _, name in entries]
            if entries:
                questions[ino] = question._replace(offset=entries[-1][0])
            else:
                assert listings.names(questions.pop(ino)) == b""
                listings.foresee(question)
    for ino, listed in names.items():
        inside = [b"%d" % inode.ino for inode in source.inodes.values() if inode.parent == ino]
        assert listed == [b".", b"..", *inside]
    assert not {2, 3} & set(source.listed)
