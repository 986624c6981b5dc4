"""Reads the parts of Cap'n Proto that older flists use: structs, texts, data, lists of structs.

Source: capnproto.org/encoding.html. Messages may come from anywhere, so every pointer is checked,
and the number of bytes that one message can make us read is limited.
"""

import struct
from typing import NamedTuple

from flist.errors import FormatError

MAX_MESSAGE_BYTES = 64 << 20
"""The longest message that upstream's 0-fs decodes: a directory of about 300,000 small files."""
MAX_SEGMENTS = 4096
MAX_FAR = 3
WORD = 8
STRUCT, LIST, FAR = 0, 1, 2
BYTE_LIST, COMPOSITE_LIST = 2, 7


class Message:
    """The segments of one unpacked message."""

    def __init__(self, data: bytes) -> None:
        self.segments = split_segments(data)
        self.left = len(data) * 8 + 1024  # bytes that may be read in total, counting repetitions

    def root(self) -> "Struct":
        """Return the root struct."""
        found = self.struct_at(0, 0)
        if found is None:
            raise FormatError("a message has no root")
        return found

    def spend(self, size: int) -> None:
        """Count `size` bytes as read; many pointers to one large object would be an attack."""
        self.left -= size
        if self.left < 0:
            raise FormatError("a message refers to itself too often")

    def word(self, segment: int, position: int) -> int:
        """Return the word at `position` (in bytes) as a number."""
        data = self.part(segment, position, WORD)
        return int.from_bytes(data, "little")

    def part(self, segment: int, position: int, size: int) -> bytes:
        """Return `size` bytes of a segment."""
        if not 0 <= segment < len(self.segments) or position < 0 or size < 0:
            raise FormatError("a message points outside itself")
        data = self.segments[segment][position : position + size]
        if len(data) != size:
            raise FormatError("a message points outside itself")
        return data

    def follow(self, segment: int, position: int) -> tuple[int, int, int]:
        """Resolve far pointers; return (pointer, segment, position that its offset counts from)."""
        for _ in range(MAX_FAR):
            pointer = self.word(segment, position)
            if pointer & 3 != FAR:
                return pointer, segment, position + WORD
            is_double = bool(pointer & 4)
            position = (pointer >> 3 & 0x1FFFFFFF) * WORD
            segment = pointer >> 32
            if is_double:
                landing = self.word(segment, position)
                tag = self.word(segment, position + WORD)
                return tag, landing >> 32, (landing >> 3 & 0x1FFFFFFF) * WORD
        raise FormatError("a message has too many far pointers in a row")

    def struct_at(self, segment: int, position: int) -> "Struct | None":
        """Return the struct behind the pointer at `position`; None for a null pointer."""
        pointer, segment, base = self.follow(segment, position)
        if pointer == 0:
            return None
        if pointer & 3 != STRUCT:
            raise FormatError("a message has a list where a struct should be")
        start = base + signed30(pointer) * WORD
        data_words, pointers = pointer >> 32 & 0xFFFF, pointer >> 48
        self.spend((data_words + pointers) * WORD)
        self.part(segment, start, (data_words + pointers) * WORD)
        return Struct(self, segment, start, data_words, pointers)

    def list_at(self, segment: int, position: int) -> "ListPlace | None":
        """Return the place of the list behind the pointer at `position`; None if it is null."""
        pointer, segment, base = self.follow(segment, position)
        if pointer == 0:
            return None
        if pointer & 3 != LIST:
            raise FormatError("a message has a struct where a list should be")
        start = base + signed30(pointer) * WORD
        return ListPlace(segment, start, pointer >> 32 & 7, pointer >> 35)


class ListPlace(NamedTuple):
    """A list's position, the kind of its elements, and its length: in elements, or in words for a
    list of structs."""

    segment: int
    start: int
    kind: int
    length: int


class Struct(NamedTuple):
    """A struct in a message. A field beyond its sections reads as zero, null or empty."""

    message: Message
    segment: int
    start: int
    data_words: int
    pointers: int

    def number(self, offset: int, form: str) -> int:
        """Return the number at byte `offset` of the data section; `form` is as in `struct`."""
        size = struct.calcsize(form)
        if offset + size > self.data_words * WORD:
            return 0
        data = self.message.part(self.segment, self.start + offset, size)
        value: int = struct.unpack("<" + form, data)[0]
        return value

    def place(self, index: int) -> int | None:
        """Return the position of pointer `index`, or None if the struct does not have it."""
        if index >= self.pointers:
            return None
        return self.start + (self.data_words + index) * WORD

    def struct(self, index: int) -> "Struct | None":
        """Return the struct behind pointer `index`, or None."""
        place = self.place(index)
        return None if place is None else self.message.struct_at(self.segment, place)

    def list_place(self, index: int) -> ListPlace | None:
        """Return the place of the list behind pointer `index`, or None."""
        place = self.place(index)
        return None if place is None else self.message.list_at(self.segment, place)

    def data(self, index: int) -> bytes:
        """Return the bytes behind pointer `index`."""
        where = self.list_place(index)
        if where is None:
            return b""
        if where.kind != BYTE_LIST:
            raise FormatError("a message has another list where bytes should be")
        self.message.spend(where.length)
        return self.message.part(where.segment, where.start, where.length)

    def text(self, index: int) -> bytes:
        """Return the text behind pointer `index`, without its final NUL."""
        return self.data(index).removesuffix(b"\0")

    def structs(self, index: int) -> "list[Struct]":
        """Return the structs of the list behind pointer `index`."""
        where = self.list_place(index)
        if where is None:
            return []
        if where.kind != COMPOSITE_LIST:
            raise FormatError("a message has another list where structs should be")
        tag = self.message.word(where.segment, where.start)
        count, data_words, pointers = tag >> 2 & 0x3FFFFFFF, tag >> 32 & 0xFFFF, tag >> 48
        size = (data_words + pointers) * WORD
        if count * size > where.length * WORD or (size == 0 and count > 0):
            raise FormatError("a list of a message is longer than its content")
        self.message.spend(where.length * WORD)
        first = where.start + WORD
        self.message.part(where.segment, first, count * size)
        return [
            Struct(self.message, where.segment, first + i * size, data_words, pointers)
            for i in range(count)
        ]


def signed30(pointer: int) -> int:
    """Return the signed 30-bit offset of a pointer, in words."""
    offset = pointer >> 2 & 0x3FFFFFFF
    return offset - (1 << 30) if offset & 1 << 29 else offset


def split_segments(data: bytes) -> list[bytes]:
    """Return the segments of a message in stream framing."""
    if len(data) < WORD:
        raise FormatError("a message is cut off")
    count = int.from_bytes(data[:4], "little") + 1
    table = 4 * (count + 1)
    if count > MAX_SEGMENTS or len(data) < table:
        raise FormatError("a message is cut off")
    sizes = struct.unpack_from(f"<{count}I", data, 4)
    position = -(-table // WORD) * WORD
    segments = []
    for size in sizes:
        segments.append(data[position : position + size * WORD])
        position += size * WORD
    if position > len(data):
        raise FormatError("a message is cut off")
    return segments
