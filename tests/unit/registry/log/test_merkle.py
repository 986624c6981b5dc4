"""The tree is the one of RFC 9162: another implementation comes to the same hashes."""

import hashlib
import random

import pytest
from pymerkle import InmemoryTree
from sqlalchemy import select

from registry.errors import DamagedError
from registry.log.merkle import (
    EMPTY,
    fold,
    leaf_hash,
    node_hash,
    prove_consistency,
    prove_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from registry.log.tiles import Tiles
from registry.state.opening import open_in_memory
from registry.state.tables import LOG_TILES

COUNT = 300
LEAVES = [f"leaf {number}".encode() for number in range(COUNT)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


def read(level: int, index: int) -> bytes:
    return fold(HASHES[index << level : (index + 1) << level])


def test_hashes_are_those_of_the_standard() -> None:
    assert hashlib.sha256().digest() == EMPTY == root_of(read, 0, 0)
    assert leaf_hash(b"") == hashlib.sha256(b"\0").digest()
    assert node_hash(b"l", b"r") == hashlib.sha256(b"\1lr").digest()


def test_another_implementation_has_the_same_roots() -> None:
    other = InmemoryTree("sha256")
    for count, leaf in enumerate(LEAVES, 1):
        other.append_entry(leaf)
        assert other.get_root() == root_of(read, 0, count)


def test_every_entry_has_a_path_to_every_later_root() -> None:
    for size in (1, 2, 3, 7, 8, 9, 64, 255, 256, 257, COUNT):
        root = root_of(read, 0, size)
        for index in {0, size // 3, size // 2, size - 1}:
            path = prove_inclusion(read, index, size)
            assert verify_inclusion(HASHES[index], index, size, path, root)
            assert not verify_inclusion(HASHES[index], index, size, path, HASHES[0][::-1])
            assert not verify_inclusion(HASHES[index - 1], index, size, path, root) or size == 1
            assert not verify_inclusion(HASHES[index], index, size, [*path, root], root)
            assert not verify_inclusion(HASHES[index], index + 1, size, path, root)


def test_every_tree_begins_every_larger_one() -> None:
    for size in (1, 2, 3, 7, 8, 9, 100, 256, COUNT):
        root = root_of(read, 0, size)
        for first in {0, 1, size // 2, size - 1, size}:
            path = prove_consistency(read, first, size)
            before = root_of(read, 0, first)
            assert verify_consistency(first, before, size, root, path), (first, size)
            is_other = verify_consistency(first, before, size, HASHES[0][::-1], path)
            assert is_other == (first == 0)  # nothing begins everything
            assert not verify_consistency(first, before, size, root, [*path, root])
            if 0 < first < size:
                assert not verify_consistency(first, HASHES[1][::-1], size, root, path)
                assert not verify_consistency(first, before, size, root, path[:-1])


def test_tiles_hold_the_same_tree_however_it_grows() -> None:
    chance = random.Random(7)
    database = open_in_memory()
    hashes = [leaf_hash(str(number).encode()) for number in range(70_000)]  # three levels
    size = 0
    while size < len(hashes):
        step = min(chance.choice((1, 3, 255, 256, 257, 20_000)), len(hashes) - size)
        with database.writing() as connection:
            tiles = Tiles(connection)
            tiles.append(size, hashes[size : size + step])
            tiles.save()
        size += step

    def plain(level: int, index: int) -> bytes:
        return fold(hashes[index << level : (index + 1) << level])

    with database.reading() as connection:
        for count in (1, 255, 256, 257, 65_535, 65_536, 65_537, size):
            assert root_of(Tiles(connection).read, 0, count) == root_of(plain, 0, count)
        path = prove_inclusion(Tiles(connection).read, 12_345, size)
        rows = connection.execute(select(LOG_TILES.c.level)).scalars().all()
    assert verify_inclusion(hashes[12_345], 12_345, size, path, root_of(plain, 0, size))
    assert {level: rows.count(level) for level in set(rows)} == {0: 274, 1: 2, 2: 1}


def test_hashes_that_are_missing_are_damage() -> None:
    with open_in_memory().writing() as connection:
        tiles = Tiles(connection)
        with pytest.raises(DamagedError, match="lacks hashes"):
            tiles.read(0, 0)
        with pytest.raises(DamagedError, match="right size"):
            tiles.append(5, HASHES[:1])
