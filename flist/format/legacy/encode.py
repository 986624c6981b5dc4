"""Encodes the tree of a flist as the Cap'n Proto records of the older format (see `records.py`).

Owners are written as numbers, and root's by name, too: what the machine at hand calls the others
says nothing about the tree. Source of the layouts and keys: upstream's 0-flist and 0-fs.
"""

import os
import stat
import struct
from collections.abc import Iterator, Sequence
from hashlib import blake2b

from flist.errors import FlistError
from flist.format.checker import MAX_PATHS_BYTES, count_path
from flist.format.legacy.blocks import LEGACY_HASH_BYTES, legacy_digest
from flist.format.legacy.builder import Builder
from flist.format.legacy.capnp import MAX_MESSAGE_BYTES, WORD
from flist.format.legacy.records import (
    DIRECTORY,
    DIRECTORY_BYTES,
    FILE,
    LINK,
    SPECIAL,
    SPECIAL_TYPES,
)
from flist.format.tables import Tables
from flist.model import CHUNK_BYTES, NO_META, NS, ROOT_INO, Block, Inode, chunk_count

ACL_KEY_BYTES = 8
CHUNK_PAGES = CHUNK_BYTES // 4096
TYPE_NUMBERS = {form: number for number, form in SPECIAL_TYPES.items()}
NO_DEVICE = b"(nothing)"
MAX_TIME = 2**32 - 1
DIR, ENTRY, ACCESS = (2, 5), (3, 3), (3, 3)
"""Words of data and number of pointers of the structs."""


class Encoder:
    """Encodes one flist. `access` holds the access records met so far, by key."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.access: dict[str, bytes] = {}
        self.access_keys: dict[tuple[int, int, int], bytes] = {}
        self.children: dict[int, list[Inode]] = {}
        self.root: Inode | None = None
        for inode in tables.inodes:
            if inode.ino == ROOT_INO:
                self.root = inode
            else:
                self.children.setdefault(inode.parent, []).append(inode)

    def run(self) -> Iterator[tuple[str, bytes]]:
        """Yield (key, record) for every directory from the root down, then for all access rights.

        Raises `FlistError` for what the format can't hold.
        """
        if self.root is None:
            raise FlistError("a flist has no root directory")
        pending = [(b"", self.root, directory_key(b""))]
        left = MAX_PATHS_BYTES
        for path, inode, parent in pending:  # grows during the loop
            left = count_path(left, path)
            own = directory_key(path)
            yield own.decode(), self.encode_directory(path, inode, parent)
            base = path + b"/" if path else b""
            entries = self.children.get(inode.ino, ())
            pending += [(base + one.name, one, own) for one in entries if one.is_dir]
        yield from self.access.items()

    def encode_directory(self, path: bytes, inode: Inode, parent: bytes) -> bytes:
        """Return the record of the directory at `path`, without its first slash."""
        message = Builder(*DIR)
        root, texts = message.root, message.root + DIR[0] * WORD
        times = seconds(inode.mtime_ns), seconds(inode.ctime_ns)
        struct.pack_into("<QII", message.segment, root, DIRECTORY_BYTES, *times)
        message.add_text(texts, path.rpartition(b"/")[2])
        message.add_text(texts + WORD, path)
        entries = self.children.get(inode.ino, [])
        place = message.add_structs(texts + 2 * WORD, len(entries), *ENTRY)
        message.add_text(texts + 3 * WORD, parent)
        message.add_text(texts + 4 * WORD, self.access_key(inode))
        base = path + b"/" if path else b""
        for entry in entries:
            self.encode_entry(message, place, entry, base + entry.name)
            place += sum(ENTRY) * WORD
        data = message.finish()
        if len(data) > MAX_MESSAGE_BYTES:
            raise FlistError(
                f"/{os.fsdecode(path)} does not fit into the older format: its record would have"
                f" {len(data)} bytes of at most {MAX_MESSAGE_BYTES}"
            )
        return data

    def encode_entry(self, message: Builder, place: int, inode: Inode, path: bytes) -> None:
        """Write an entry of a directory at `place`."""
        kind = kind_of(inode)
        size = DIRECTORY_BYTES if kind == DIRECTORY else inode.size
        times = seconds(inode.mtime_ns), seconds(inode.ctime_ns)
        struct.pack_into("<QHHII", message.segment, place, size, kind, 0, *times)
        pointers = place + ENTRY[0] * WORD
        message.add_text(pointers, inode.name)
        message.add_text(pointers + 2 * WORD, self.access_key(inode))
        if kind == DIRECTORY:
            message.add_text(message.add_struct(pointers + WORD, 0, 1), directory_key(path))
        elif kind == FILE:
            self.encode_file(message, pointers + WORD, inode, path)
        elif kind == LINK:
            target = self.tables.meta.get(inode.content_ino, NO_META).target or b""
            message.add_text(message.add_struct(pointers + WORD, 0, 1), target)
        else:
            encode_special(message, pointers + WORD, inode)

    def encode_file(self, message: Builder, pointer: int, inode: Inode, path: bytes) -> None:
        """Append the list of a file's blocks."""
        tables = self.tables
        blocks = tables.blocks.get(inode.ino) or tables.blocks.get(inode.content_ino) or ()
        check_blocks(inode, blocks, path)
        place = message.add_struct(pointer, 1, 1)
        struct.pack_into("<H", message.segment, place, CHUNK_PAGES)
        if blocks:
            first = message.add_structs(place + WORD, len(blocks), 0, 2)
            for index, block in enumerate(blocks):
                message.add_data(first + 2 * index * WORD, block.id)
                message.add_data(first + (2 * index + 1) * WORD, block.key)

    def access_key(self, inode: Inode) -> bytes:
        """Return the key of the record of an inode's owner and mode, which is made if needed."""
        mode = 0o777 if inode.is_link else stat.S_IMODE(inode.mode)
        rights = inode.uid, inode.gid, mode
        known = self.access_keys.get(rights)
        if known is None:
            known = self.access_keys[rights] = access_key(*rights)
            self.access[known.decode()] = encode_access(*rights)
        return known


def check_blocks(inode: Inode, blocks: Sequence[Block], path: bytes) -> None:
    """Raise `FlistError` unless these are blocks of the older format, as many as the file needs."""
    name = os.fsdecode(path)
    if len(blocks) != chunk_count(inode.size):
        raise FlistError(f"/{name} has {len(blocks)} blocks for {inode.size} bytes")
    if any(len(value) != LEGACY_HASH_BYTES for block in blocks for value in block[:2]):
        raise FlistError(f"/{name} has blocks of the newer format", hint="`convert` first")


def directory_key(path: bytes) -> bytes:
    """Return the key of the record of the directory at `path`, without its first slash."""
    return legacy_digest(path).hex().encode()


def owner_name(number: int) -> str:
    """Return the name of a user or group: its number, but for root."""
    return str(number) if number else "root"


def access_key(uid: int, gid: int, mode: int) -> bytes:
    """Return the key of an access record."""
    text = f"user:{owner_name(uid)}\ngroup:{owner_name(gid)}\nmode:0o{mode:o}\nuid:{uid}\ngid:{gid}"
    return blake2b(text.encode(), digest_size=ACL_KEY_BYTES).hexdigest().encode()


def encode_access(uid: int, gid: int, mode: int) -> bytes:
    """Return an access record. A uid or gid is stored inverted, so that zero means "not set"."""
    message = Builder(*ACCESS)
    struct.pack_into("<HHIqq", message.segment, message.root, mode, 0, 0, ~uid, ~gid)
    names = message.root + ACCESS[0] * WORD
    message.add_text(names, owner_name(uid).encode())
    message.add_text(names + WORD, owner_name(gid).encode())
    return message.finish()


def encode_special(message: Builder, pointer: int, inode: Inode) -> None:
    """Append the type of a device, pipe or socket, and the numbers of a device."""
    place = message.add_struct(pointer, 1, 1)
    form = stat.S_IFMT(inode.mode)
    struct.pack_into("<H", message.segment, place, TYPE_NUMBERS[form])
    is_device = form in (stat.S_IFCHR, stat.S_IFBLK)
    numbers = b"%d,%d" % (os.major(inode.rdev), os.minor(inode.rdev))
    message.add_data(place + WORD, numbers if is_device else NO_DEVICE)


def kind_of(inode: Inode) -> int:
    """Return the tag of an entry."""
    if inode.is_dir:
        return DIRECTORY
    if inode.is_file:
        return FILE
    return LINK if inode.is_link else SPECIAL


def seconds(time_ns: int) -> int:
    """Return a time in seconds, within the format's range: 1970 to 2106."""
    return min(max(time_ns // NS, 0), MAX_TIME)
