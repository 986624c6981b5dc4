"""Hashes and proofs of a Merkle tree as RFC 9162, section 2.1, defines them (SHA-256). No I/O.

A `Read` gives the hash of the complete subtree number `index` of 2**level leaves. Proofs need a
number of those that grows with the logarithm of the tree's size.
"""

import hashlib
from collections.abc import Callable, Sequence

Read = Callable[[int, int], bytes]
EMPTY = hashlib.sha256().digest()
HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node with two children."""
    return hashlib.sha256(b"\1" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Return the root of a complete subtree; the number of hashes is a power of two."""
    while len(hashes) > 1:
        pairs = zip(hashes[::2], hashes[1::2], strict=True)
        hashes = [node_hash(left, right) for left, right in pairs]
    return hashes[0]


def split(count: int) -> int:
    """Return the largest power of two that is less than `count`, which is at least 2."""
    return 1 << ((count - 1).bit_length() - 1)


def root_of(read: Read, start: int, end: int) -> bytes:
    """Return the hash over the leaves from `start` to before `end`."""
    count = end - start
    if count == 0:
        return EMPTY
    if count & (count - 1) == 0 and start % count == 0:
        level = count.bit_length() - 1
        return read(level, start >> level)
    middle = start + split(count)
    return node_hash(root_of(read, start, middle), root_of(read, middle, end))


def prove_inclusion(read: Read, index: int, size: int) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree of `size` leaves (2.1.3.1)."""
    start, end = 0, size
    path: list[bytes] = []
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            path.append(root_of(read, middle, end))
            end = middle
        else:
            path.append(root_of(read, start, middle))
            start = middle
    return path[::-1]


def prove_consistency(read: Read, first: int, size: int) -> list[bytes]:
    """Return the proof that the first `first` leaves begin the tree of `size` (2.1.4.1)."""
    if first == 0:
        return []
    start, end, is_whole = 0, size, True
    path: list[bytes] = []
    while first != end:
        middle = start + split(end - start)
        if first <= middle:
            path.append(root_of(read, middle, end))
            end = middle
        else:
            path.append(root_of(read, start, middle))
            start, is_whole = middle, False
    if not is_whole:
        path.append(root_of(read, start, end))
    return path[::-1]


def verify_inclusion(leaf: bytes, index: int, size: int, path: list[bytes], root: bytes) -> bool:
    """Return whether a path proves that the leaf with this hash is in the tree (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for step in path:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(step, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    first: int, first_root: bytes, size: int, root: bytes, path: list[bytes]
) -> bool:
    """Return whether a path proves that the smaller tree begins the larger one (2.1.4.2)."""
    if not 0 <= first <= size:
        return False
    if first == size:
        return not path and first_root == root
    if first == 0:
        return not path and first_root == EMPTY
    steps = [first_root, *path] if first & (first - 1) == 0 else path
    if not steps:
        return False
    at, last = first - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    return last == 0 and old == first_root and new == root
