"""Reads from an ELF program or a script which interpreter and libraries it needs.

For guesses only: a file that does not fit the format needs nothing. The bytes may be hostile, so
every number is bounded. Only 64-bit little-endian ELF is read, that of every platform of a node.

Sources: System V ABI, "Object Files" and "Program Loading and Dynamic Linking"; execve(2), "#!".
"""

import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from flist.model import ROOT_INO, Inode
from flist.mount.tree import Tree

Read = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there, fewer at the end of the file."""

ELF_MAGIC = b"\x7fELF\x02\x01\x01"  # 64 bits, little endian, version 1
HEADER = struct.Struct("<16xHHIQQQIHHH")
SEGMENT = struct.Struct("<IIQQQQQQ")
ENTRY = struct.Struct("<qQ")
PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NULL, DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 0, 1, 5, 15, 29
MAX_SEGMENTS, MAX_ENTRIES, MAX_LIBRARIES, MAX_STRING = 64, 1024, 64, 4096
MAX_LINKS = 40
TRIPLETS = {62: b"x86_64-linux-gnu", 183: b"aarch64-linux-gnu", 243: b"riscv64-linux-gnu"}
FOLDERS = (b"/lib64", b"/usr/lib64", b"/lib", b"/usr/lib", b"/usr/local/lib")


class Needs(NamedTuple):
    """The needs of a program: the path of its interpreter, the names of its libraries, and the
    directories to search for them, in order (`$ORIGIN` is the program's own)."""

    interpreter: bytes | None = None
    libraries: tuple[bytes, ...] = ()
    folders: tuple[bytes, ...] = ()


NOTHING = Needs()
USUAL = Needs(
    None,
    (
        b"ld-linux-x86-64.so.2",
        b"ld-linux-aarch64.so.1",
        b"ld-linux-riscv64-lp64d.so.1",
        b"libc.so.6",
    ),
    (*(b"/lib/" + triplet for triplet in TRIPLETS.values()), *FOLDERS),
)
"""The needs of nearly every program, for use before its own are known."""


class Segment(NamedTuple):
    """A segment of an ELF file: where it is in the file, and in memory."""

    kind: int
    offset: int
    address: int
    size: int


def parse_needs(read: Read) -> Needs:
    """Return the needs of a file; `NOTHING` if it is no program."""
    start = read(0, 256)
    if start.startswith(b"#!"):
        words = start[2:].split(b"\n")[0].split()
        return Needs(words[0]) if words and words[0].startswith(b"/") else NOTHING
    if not start.startswith(ELF_MAGIC) or len(start) < HEADER.size:
        return NOTHING
    _, machine, _, _, table, _, _, _, entry_size, count = HEADER.unpack_from(start)
    if entry_size != SEGMENT.size:
        return NOTHING
    segments = parse_segments(read(table, min(count, MAX_SEGMENTS) * SEGMENT.size))
    interpreter = next((s for s in segments if s.kind == PT_INTERP), None)
    dynamic = next((s for s in segments if s.kind == PT_DYNAMIC), None)
    path = read_string(read, interpreter.offset) if interpreter else None
    libraries, own = parse_dynamic(read, segments, dynamic) if dynamic else ((), ())
    triplet = TRIPLETS.get(machine)
    usual = (b"/lib/" + triplet, b"/usr/lib/" + triplet) if triplet else ()
    return Needs(path, libraries, (*own, *usual, *FOLDERS))


def parse_segments(table: bytes) -> list[Segment]:
    """Return the segments of a program header table."""
    whole = table[: len(table) // SEGMENT.size * SEGMENT.size]
    return [
        Segment(kind, offset, address, size)
        for kind, _, offset, address, _, size, _, _ in SEGMENT.iter_unpack(whole)
    ]


def parse_dynamic(
    read: Read, segments: list[Segment], dynamic: Segment
) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Return the names of the libraries, and the directories of DT_RUNPATH or DT_RPATH."""
    table = read(dynamic.offset, min(dynamic.size, MAX_ENTRIES * ENTRY.size))
    entries = list(ENTRY.iter_unpack(table[: len(table) // ENTRY.size * ENTRY.size]))
    addresses = [value for tag, value in entries if tag == DT_STRTAB]
    base = find_offset(segments, addresses[0]) if addresses else None
    if base is None:
        return (), ()
    names = [value for tag, value in entries if tag == DT_NEEDED][:MAX_LIBRARIES]
    lists = [value for tag, value in entries if tag in (DT_RUNPATH, DT_RPATH)][:1]
    folders = [f for value in lists for f in read_string(read, base + value).split(b":") if f]
    found = dict.fromkeys(read_string(read, base + value) for value in names)
    return tuple(name for name in found if name), tuple(folders[:MAX_LIBRARIES])


def find_offset(segments: list[Segment], address: int) -> int | None:
    """Return the offset in the file of an address in memory."""
    for segment in segments:
        if segment.kind == PT_LOAD and 0 <= address - segment.address < segment.size:
            return segment.offset + address - segment.address
    return None


def read_string(read: Read, offset: int) -> bytes:
    """Return the string at an offset; b"" if it does not end."""
    text, end, _ = read(offset, MAX_STRING).partition(b"\0")
    return text if end else b""


def find_needed(tree: Tree, inode: Inode, needs: Needs) -> Iterator[Inode]:
    """Yield the files that `needs` of the program `inode` name: the interpreter, then each library
    that is in one of the directories."""
    choices = [[needs.interpreter]] if needs.interpreter else []
    choices += [
        [name] if b"/" in name else [folder + b"/" + name for folder in needs.folders]
        for name in needs.libraries
    ]
    for paths in choices:
        found = (follow(tree, inode.parent, path) for path in paths)
        file = next((file for file in found if file is not None), None)
        if file is not None:
            yield file


def follow(tree: Tree, origin: int, path: bytes) -> Inode | None:
    """Return the file at a path, or None. `$ORIGIN` at its start is the directory `origin`."""
    for variable in (b"$ORIGIN", b"${ORIGIN}"):
        if path.startswith(variable):
            return walk(tree, origin, path.removeprefix(variable))
    return walk(tree, ROOT_INO, path)


def walk(tree: Tree, start: int, path: bytes) -> Inode | None:
    """Return the file at `path` from the directory `start`, or None. Follows links."""
    inode = tree.inode(start)
    names = path.split(b"/")[::-1]
    links = 0
    while names:
        name = names.pop()
        if name in (b"", b"."):
            continue
        found = up(tree, inode) if name == b".." else tree.lookup(inode.ino, name)
        if found is None:
            return None
        if found.is_link:
            links += 1
            target = tree.target(found)
            if links > MAX_LINKS:
                return None
            names += target.split(b"/")[::-1]
            found = tree.inode(ROOT_INO) if target.startswith(b"/") else inode
        inode = found
    return inode if inode.is_file else None


def up(tree: Tree, inode: Inode) -> Inode:
    """Return the parent directory of `inode`; the root is its own."""
    return inode if inode.ino == ROOT_INO else tree.inode(inode.parent)
