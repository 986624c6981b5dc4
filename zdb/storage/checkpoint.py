"""How far the index of a namespace is known to be complete: the file `zdb-checkpoint` beside it.

All index entries for data before that place, and all changes to older entries, are on the disk.
What comes after is read from the data when the namespace is opened. Upstream does not know the file
and ignores it.
"""

from pathlib import Path
from typing import NamedTuple

from common.files import read_regular, write_atomic

NAME = "zdb-checkpoint"
VERSION = "1"


class Checkpoint(NamedTuple):
    """A place in the data, and how long the index file of the same number was."""

    file_id: int
    data_length: int
    previous: int  # the offset of the last record
    index_length: int


def write(folder: Path, place: Checkpoint) -> None:
    """Write a checkpoint."""
    text = " ".join([VERSION, *map(str, place)]) + "\n"
    write_atomic(folder / NAME, text.encode(), 0o600)


def remove(folder: Path) -> None:
    """Say that the index can't be trusted, until the next checkpoint is written."""
    write_atomic(folder / NAME, b"none\n", 0o600)


def read(folder: Path) -> Checkpoint | None:
    """Return the checkpoint; None if there is none, or it can't be understood."""
    try:
        version, *numbers = read_regular(folder / NAME)[:100].decode("ascii", "replace").split()
        return Checkpoint(*map(int, numbers)) if version == VERSION else None
    except (OSError, ValueError, TypeError):
        return None
