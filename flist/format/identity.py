"""The identity of a flist: a Merkle root over its contents, the same for the same tree.

It depends only on names, types, modes, owners, device numbers, modification times (ns), link
targets, extended attributes, data ranges, hard links and the plain content (sizes and the chunks'
keys). It does not depend on stores, compression, inode numbers or the SQLite file. A node's hash is
BLAKE2b-256 over its fields, each preceded by its length; a directory's also covers the names and
hashes of its entries, sorted by name.
"""

from hashlib import blake2b

from flist.format.nodes import Node, find_links

VERSION = b"zero-os flist identity v1"


def identity(nodes: dict[bytes, Node]) -> bytes:
    """Return the identity of a flist, 32 bytes."""
    links = find_links(nodes)
    children: dict[bytes, list[bytes]] = {}
    for path in nodes:
        if path != b"/":
            children.setdefault(path.rpartition(b"/")[0] or b"/", []).append(path)
    hashes: dict[bytes, bytes] = {}
    for path in sorted(nodes, key=lambda p: -p.count(b"/") if p != b"/" else 1):
        below = sorted(children.get(path, ()))
        entries = [part for child in below for part in (child.rpartition(b"/")[2], hashes[child])]
        hashes[path] = hash_parts([*describe(nodes[path], links.get(path)), *entries])
    return hashes[b"/"]


def describe(node: Node, first: bytes | None) -> list[bytes]:
    """Return the fields that a node's hash covers; `first` is the first name of a hard link."""
    inode, meta = node.inode, node.meta
    size = inode.size if inode.is_file else 0
    numbers = (inode.mode, inode.uid, inode.gid, inode.rdev, inode.mtime_ns, size)
    parts = [VERSION, *(b"%d" % number for number in numbers)]
    parts += [meta.target or b"", first or b""]
    parts += [b"%d" % len(meta.xattrs), *(part for pair in meta.xattrs for part in pair)]
    extents = meta.extents if meta.extents is not None else ((0, size),)
    parts += [b"%d" % len(extents), *(b"%d+%d" % (start, length) for start, length in extents)]
    return [*parts, b"%d" % len(node.blocks), *(block.key for block in node.blocks)]


def hash_parts(parts: list[bytes]) -> bytes:
    """Return BLAKE2b-256 over `parts`, each preceded by its length (64-bit little-endian)."""
    total = blake2b(digest_size=32)
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return total.digest()
