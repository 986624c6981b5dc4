"""Writes Cap'n Proto messages of one segment: what `capnp.py` reads.

Source: capnproto.org/encoding.html. A place is a position in bytes of the segment. A struct has its
data section first, then its pointers.
"""

import struct

from flist.format.legacy.capnp import BYTE_LIST, COMPOSITE_LIST, LIST, WORD

POINTER = struct.Struct("<II")
OFFSET_MASK = 0x3FFFFFFF


class Builder:
    """A message being built. Its root struct has `data_words` and `pointers`, and is at `root`."""

    def __init__(self, data_words: int, pointers: int) -> None:
        self.segment = bytearray(WORD)
        self.root = self.add_struct(0, data_words, pointers)

    def reserve(self, size: int) -> int:
        """Append `size` zero bytes, and more to a whole word; return the place of the first."""
        place = len(self.segment)
        self.segment += bytes(size + -size % WORD)
        return place

    def point(self, pointer: int, target: int, kind: int, high: int) -> None:
        """Write the pointer at the place `pointer` to the place `target`."""
        offset = (target - pointer) // WORD - 1
        POINTER.pack_into(self.segment, pointer, (offset & OFFSET_MASK) << 2 | kind, high)

    def add_struct(self, pointer: int, data_words: int, pointers: int) -> int:
        """Append a struct for `pointer`; return its place."""
        place = self.reserve((data_words + pointers) * WORD)
        self.point(pointer, place, 0, data_words | pointers << 16)
        return place

    def add_structs(self, pointer: int, count: int, data_words: int, pointers: int) -> int:
        """Append a list of `count` structs for `pointer`; return the place of the first."""
        words = (data_words + pointers) * count
        tag = self.reserve((words + 1) * WORD)
        self.point(pointer, tag, LIST, COMPOSITE_LIST | words << 3)
        POINTER.pack_into(self.segment, tag, count << 2, data_words | pointers << 16)
        return tag + WORD

    def add_data(self, pointer: int, data: bytes) -> None:
        """Append bytes for `pointer`."""
        place = self.reserve(len(data))
        self.segment[place : place + len(data)] = data
        self.point(pointer, place, LIST, BYTE_LIST | len(data) << 3)

    def add_text(self, pointer: int, text: bytes) -> None:
        """Append a text for `pointer`."""
        self.add_data(pointer, text + b"\0")

    def finish(self) -> bytes:
        """Return the message in stream framing."""
        return POINTER.pack(0, len(self.segment) // WORD) + self.segment
