"""A file some ranges of which are replaced while it is sent."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from serving.content import FilePart, OpenFile


@dataclass(frozen=True, slots=True)
class Patched:
    """A file with some ranges replaced; the ETag tells both apart from all others."""

    file: OpenFile
    slots: Sequence[int]
    text: bytes
    etag: str

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.file.size

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes of the file, or of what replaces them."""
        data = await self.file.read(start, size)
        return self.patch(start, data)

    def part_at(self, start: int, size: int) -> FilePart | None:
        """Return bytes of the file up to the next one that is replaced."""
        stop = start + size
        for slot in self.slots:
            if slot <= start < slot + len(self.text):
                return None
            if start < slot:
                stop = min(stop, slot)
        return self.file.part_at(start, stop - start)

    def patch(self, start: int, data: bytes) -> bytes:
        """Return what stands at `start` instead of these bytes of the file."""
        for slot in self.slots:
            first, last = max(slot, start), min(slot + len(self.text), start + len(data))
            if first < last:
                new = self.text[first - slot : last - slot]
                data = data[: first - start] + new + data[last - start :]
        return data

    def sha256(self) -> str:
        """Return the SHA-256 of all bytes, in hex."""
        state, at = hashlib.sha256(), 0
        while data := os.pread(self.file.handle, 1 << 20, at):
            state.update(self.patch(at, data))
            at += len(data)
        return state.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self.file.close()
