"""Reads fields from bytes that a stranger may have made."""

from struct import Struct
from typing import Any

from zstor.errors import DamagedError


class Reader:
    """Takes one field after another; what is not there is a `DamagedError`."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0

    @property
    def left(self) -> int:
        """Return how many bytes are left."""
        return len(self.data) - self.place

    def take(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        if count > self.left:
            raise DamagedError(f"cannot read metadata: it is cut off after {len(self.data)} bytes")
        self.place += count
        return self.data[self.place - count : self.place]

    def unpack(self, form: Struct) -> tuple[Any, ...]:
        """Return the next fields of this form."""
        return form.unpack(self.take(form.size))

    def number(self, form: Struct) -> int:
        """Return the next number."""
        value: int = form.unpack(self.take(form.size))[0]
        return value

    def counted(self, form: Struct) -> bytes:
        """Return the next bytes, before which their number is."""
        return self.take(self.number(form))

    def count(self, form: Struct, smallest: int) -> int:
        """Return a number of items that have at least `smallest` bytes each."""
        found = self.number(form)
        if found * smallest > self.left:
            raise DamagedError(f"cannot read metadata: it has no room for {found} items")
        return found

    def end(self) -> None:
        """Refuse what is left."""
        if self.left:
            raise DamagedError(f"cannot read metadata: {self.left} bytes too many")


def text(raw: bytes) -> str:
    """Return UTF-8 text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DamagedError("cannot read metadata: a text is no UTF-8") from error
