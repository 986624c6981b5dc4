"""What the two modes have in common: from a key to its record and its index entry."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from zdb.format.data import Record


class Found(NamedTuple):
    """The current value of a key: where it is and what its record says."""

    record: Record
    data_file: int
    index_file: int
    index_offset: int
    blob: bytes  # the beginning of the record's bytes, as far as they were read


Undo = list[tuple[Callable[..., Any], tuple[Any, ...]]]


class Keys(Protocol):
    """The keys of a namespace in its mode."""

    undo: Undo

    @property
    def count(self) -> int:
        """Return how many keys there are."""

    def find(self, key: bytes) -> Found | None:
        """Return where the current value of a key is."""

    def new_key(self, key: bytes) -> bytes:
        """Return the key for a value under a key that does not exist; raise if there is none."""

    def put(self, record: Record, old: Found | None) -> None:
        """Note a record that was added to the last data file."""

    def remove(self, old: Found) -> None:
        """Note that a key was deleted."""

    def begin_file(self) -> None:
        """Note that a next index file was begun."""

    def memory(self) -> int:
        """Return how many bytes the keys take in memory, about."""
