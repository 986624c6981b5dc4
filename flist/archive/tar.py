"""Reads tar archives as a stream: ustar, pax, GNU's long names, large numbers and sparse files.

Archives are not trusted: memory is limited whatever a header says, and every number is checked.
Names are returned as they are written; `flist.archive.paths` checks them.

Source: POSIX.1-2008 "pax"; GNU tar's manual, "Basic Tar Format" and "Storing Sparse Files".
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from flist.archive.errors import ArchiveError
from flist.archive.pax import parse_mtime, parse_number, parse_pax, parse_pax_number
from flist.archive.sparse import (
    OLD_EXTRA,
    SPARSE_KEYS,
    check_count,
    check_extents,
    parse_old_map,
    read_pax_map,
)
from flist.model import NS, Extent

BLOCK = 512
MAX_EXTENSION_BYTES = 1 << 20
"""The largest accepted pax header or long name; Go's archive/tar has the same limit."""
MAX_TIME_S = 2**33
XATTR_PREFIX = "SCHILY.xattr."
REGULAR, HARD_LINK, SYMLINK, CHARACTER, BLOCK_DEVICE, DIRECTORY, FIFO = b"0123456"
KINDS = {b"\0": REGULAR, b"7": REGULAR, b"S": REGULAR}
PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK, VOLUME = b"x", b"g", b"L", b"K", b"V"
EXTENSIONS = (PAX, PAX_GLOBAL, LONG_NAME, LONG_LINK)


class Source(Protocol):
    """A stream of bytes."""

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer only at the end."""

    def skip(self, size: int) -> None:
        """Skip `size` bytes; raises `ArchiveError` if there are fewer."""


class Entry(NamedTuple):
    """One member. `kind` is a type such as `REGULAR`, `mode` has the permissions only, `extents`
    are the data ranges of a sparse file."""

    name: bytes
    kind: int
    mode: int
    uid: int
    gid: int
    size: int
    mtime_ns: int
    target: bytes
    device: tuple[int, int]
    xattrs: tuple[tuple[bytes, bytes], ...]
    extents: tuple[Extent, ...] | None


class TarReader:
    """Iterates over entries; after each one, `take` returns its content.

    After the last one, `has_end` says whether the archive's end mark was there.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.has_begun = self.has_end = False
        self.left = 0  # bytes of the current member that have not been taken
        self.padding = 0
        self.common: dict[str, bytes] = {}  # pax records for all members

    def __iter__(self) -> Iterator[Entry]:
        """Yield every member."""
        while (header := self.read_header()) is not None:
            yield self.read_entry(*header)

    def take(self, size: int) -> bytes:
        """Return the next `size` stored bytes of the current member."""
        if size > self.left:
            raise ArchiveError("the archive holds less of a file than its header says")
        data = self.source.read(size)
        if len(data) < size:
            raise ArchiveError("the archive is cut off")
        self.left -= size
        return data

    def next_block(self) -> bytes | None:
        """Return the next header, or None at the end of the archive."""
        if self.left or self.padding:
            self.source.skip(self.left + self.padding)
        self.left = self.padding = 0
        block = self.source.read(BLOCK)
        if not block.strip(b"\0"):
            self.has_end = len(block) == BLOCK
            return None
        try:
            check_sum(block)
        except ArchiveError as error:
            if self.has_begun:
                raise
            raise ArchiveError(f"this is no tar archive: {error.message}") from error
        self.has_begun = True
        self.set_size(parse_number(block[124:136]))
        return block

    def set_size(self, size: int) -> None:
        """Set how much content follows."""
        if not 0 <= size < 2**62:
            raise ArchiveError("the archive holds a file of an impossible size")
        self.left, self.padding = size, -size % BLOCK

    def read_header(self) -> tuple[bytes, dict[str, bytes]] | None:
        """Return the next member's header, and the pax records that apply to it."""
        records = dict(self.common)
        described = 0
        while (block := self.next_block()) is not None:
            kind = block[156:157]
            described += self.left
            if kind in EXTENSIONS and described > MAX_EXTENSION_BYTES:
                raise ArchiveError(f"the archive has a header of {described} bytes")
            if kind == PAX:
                records.update(parse_pax(self.take(self.left)))
            elif kind == PAX_GLOBAL:
                self.common.update(parse_pax(self.take(self.left)))
                if sum(map(len, self.common.values())) > MAX_EXTENSION_BYTES:
                    raise ArchiveError("the archive's common header is too large")
                records = {**self.common, **records}
            elif kind == LONG_NAME:
                records["path"] = self.take(self.left).partition(b"\0")[0]
            elif kind == LONG_LINK:
                records["linkpath"] = self.take(self.left).partition(b"\0")[0]
            elif kind != VOLUME:
                return block, records
        return None

    def read_entry(self, block: bytes, records: dict[str, bytes]) -> Entry:
        """Return the entry of a header and its records."""
        kind = KINDS.get(block[156:157], block[156])
        name = records.get("path") or header_name(block)
        if kind == REGULAR and name.endswith(b"/"):
            kind = DIRECTORY  # as in the oldest archives
        if not REGULAR <= kind <= FIFO:
            raise ArchiveError(f"the archive holds a member of the unknown type {chr(kind)!r}")
        self.set_size(parse_pax_number(records, "size", self.left) if kind == REGULAR else 0)
        size, extents = self.left, None
        if kind == REGULAR:
            name = records.get("GNU.sparse.name", name)
            size, extents = self.read_sparse(block, records)
        return Entry(
            name,
            kind,
            parse_number(block[100:108]) & 0o7777,
            check_range(parse_pax_number(records, "uid", parse_number(block[108:116])), "owner"),
            check_range(parse_pax_number(records, "gid", parse_number(block[116:124])), "group"),
            size,
            bounded_time(parse_mtime(records, parse_number(block[136:148]))),
            records.get("linkpath") or block[157:257].partition(b"\0")[0],
            parse_device(block) if kind in (CHARACTER, BLOCK_DEVICE) else (0, 0),
            parse_xattrs(records),
            extents,
        )

    def read_sparse(
        self, block: bytes, records: dict[str, bytes]
    ) -> tuple[int, tuple[Extent, ...] | None]:
        """Return the full size of a file, and its extents if it has holes."""
        if block[156:157] == b"S":
            pairs, is_extended = parse_old_map(block[386:482]), block[482] == 1
            while is_extended:
                extra = self.source.read(BLOCK)
                pairs += parse_old_map(extra[:OLD_EXTRA])
                check_count(pairs)
                is_extended = len(extra) == BLOCK and extra[OLD_EXTRA] == 1
            return check_extents(pairs, parse_number(block[483:495]), self.left)
        if not SPARSE_KEYS.isdisjoint(records):
            size = parse_pax_number(records, "GNU.sparse.realsize", -1)
            size = parse_pax_number(records, "GNU.sparse.size", size)
            return check_extents(read_pax_map(records, self.take), size, self.left)
        return self.left, None


def check_sum(block: bytes) -> None:
    """Raise unless the header is complete and its sum is right, over bytes with or without a
    sign."""
    if len(block) < BLOCK:
        raise ArchiveError("the archive is cut off")
    said = parse_number(block[148:156])
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if said not in (total, total - 256 * sum(b > 127 for b in block[:148] + block[156:])):
        raise ArchiveError("the archive is broken: a header's checksum is wrong")


def header_name(block: bytes) -> bytes:
    """Return the name that the header itself holds."""
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == b"ustar\0" else b""
    return prefix + b"/" + name if prefix else name


def parse_device(block: bytes) -> tuple[int, int]:
    """Return (major, minor) of a device; raises `ArchiveError` for more than Linux allows."""
    major, minor = parse_number(block[329:337]), parse_number(block[337:345])
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise ArchiveError("the archive holds a device with an impossible number")
    return major, minor


def parse_xattrs(records: dict[str, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the extended attributes among pax records."""
    return tuple(
        sorted(
            (key.removeprefix(XATTR_PREFIX).encode(errors="surrogateescape"), value)
            for key, value in records.items()
            if key.startswith(XATTR_PREFIX)
        )
    )


def check_range(value: int, what: str) -> int:
    """Return the number of a user or group; raises `ArchiveError` for more than Linux allows."""
    if not 0 <= value < 2**32:
        raise ArchiveError(f"the archive holds a file with an impossible {what} {value}")
    return value


def bounded_time(time_ns: int) -> int:
    """Return a time that a flist can hold; others become 1970, as in container engines."""
    return time_ns if abs(time_ns) < (MAX_TIME_S - 1) * NS else 0
