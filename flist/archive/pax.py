"""Numbers in tar headers, and pax records: `LENGTH KEY=VALUE` and a newline each."""

import re

from flist.archive.errors import ArchiveError
from flist.model import NS

MAX_DIGITS = 19
SPARSE_PAIR = ("GNU.sparse.offset", "GNU.sparse.numbytes")
"""Pax form 0.0 of a sparse file repeats these two records; form 0.1 has one map instead."""
DECIMAL = re.compile(rb"(-?)(\d{1,19})(?:\.(\d*))?")


def parse_number(field: bytes) -> int:
    """Return an octal number, or one in GNU's base-256 form."""
    if field[0] & 0x80:
        value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
        is_negative = field[0] & 0x40
        return value - (1 << (8 * len(field) - 1)) if is_negative else value
    text = field.partition(b"\0")[0].strip(b" ")
    if text.strip(b"01234567"):
        raise ArchiveError("the archive is broken: a header holds something that is not a number")
    return int(text, 8) if text else 0


def parse_pax(data: bytes) -> dict[str, bytes]:
    """Return the records of one header; of several with the same key, the last one. The repeated
    records of a sparse file are joined to its map."""
    records = {}
    places: list[bytes] = []
    start = 0
    while start < len(data) and data[start]:
        space = data.find(b" ", start, start + MAX_DIGITS)
        digits = data[start:space] if space > 0 else b""
        end = start + int(digits) if digits.isdigit() else 0
        equals = data.find(b"=", space, end)
        if end > len(data) or equals < 0 or data[end - 1 : end] != b"\n":
            raise ArchiveError("the archive is broken: a pax record does not fit")
        key = data[space + 1 : equals].decode(errors="surrogateescape")
        records[key] = data[equals + 1 : end - 1]
        if key in SPARSE_PAIR:
            if key != SPARSE_PAIR[len(places) % 2]:
                raise ArchiveError("the archive is broken: a sparse file's map is wrong")
            places.append(records[key])
        start = end
    if places:
        records["GNU.sparse.map"] = b",".join(places)
    return records


def parse_pax_number(records: dict[str, bytes], key: str, otherwise: int) -> int:
    """Return the number at `key`, or `otherwise`, the one in the ustar header."""
    text = records.get(key)
    if not text:
        return otherwise
    if not text.isdigit() or len(text) > MAX_DIGITS:
        raise ArchiveError(f"the archive is broken: {key} is not a number")
    return int(text)


def parse_mtime(records: dict[str, bytes], seconds: int) -> int:
    """Return the modification time in nanoseconds; the record may have a fraction."""
    text = records.get("mtime")
    if not text:
        return seconds * NS
    match = DECIMAL.fullmatch(text)
    if match is None:
        raise ArchiveError("the archive is broken: mtime is not a time")
    value = int(match[2]) * NS + int((match[3] or b"")[:9].ljust(9, b"0"))
    return -value if match[1] else value
