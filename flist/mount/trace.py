"""Traces: the chunks that a mount has read, in order, so that the next mount can fetch them ahead.

A trace is a text file with a line `<inode number> <chunk index>` per chunk. It is valid for one
version of a flist.
"""

from collections.abc import Iterator
from pathlib import Path

from flist.errors import FlistError
from flist.format.opening import open_flist
from flist.model import Block

MAX_LINES = 10_000_000


class Recorder:
    """Writes a trace: each chunk when it is read for the first time. Raises `FlistError`."""

    def __init__(self, path: Path) -> None:
        self.seen: set[tuple[int, int]] = set()
        try:
            self.stream = path.open("w", buffering=1)
        except OSError as error:
            raise FlistError(f"cannot write trace {path}: {error.strerror}") from error

    def note(self, ino: int, index: int) -> None:
        """Record a chunk."""
        if (ino, index) not in self.seen:
            self.seen.add((ino, index))
            self.stream.write(f"{ino} {index}\n")

    def close(self) -> None:
        """Close the file."""
        self.stream.close()


def parse_trace(path: Path) -> Iterator[tuple[int, int]]:
    """Yield inode number and chunk index of every line. Lines of another form are left out, also
    an incomplete last one.

    Raises `FlistError` if the file cannot be read, or its first line has another form.
    """
    try:
        with path.open() as stream:
            for number, line in zip(range(MAX_LINES), stream, strict=False):
                ino, _, index = line.partition(" ")
                is_good = ino.isdecimal() and index.strip().isdecimal()
                if not line.endswith("\n"):
                    return
                if is_good:
                    yield int(ino), int(index)
                elif number == 0:
                    raise FlistError(
                        f"cannot read trace {path}: it is not a trace",
                        hint="`mount --record` makes one",
                    )
    except OSError as error:
        raise FlistError(f"cannot read trace {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FlistError(f"cannot read trace {path}: it is not text") from error


def check_trace(path: Path) -> None:
    """Raise `FlistError` if `path` is not a trace."""
    next(parse_trace(path), None)


def read_trace(path: Path, meta: Path) -> list[Block]:
    """Return the blocks of a trace in its order, without chunks that the flist does not have."""
    blocks = []
    lists: dict[int, list[Block]] = {}
    with open_flist(meta) as flist:
        for ino, index in parse_trace(path):
            known = lists.get(ino)
            if known is None:
                known = lists[ino] = flist.blocks(ino)
            if index < len(known):
                blocks.append(known[index])
    return blocks
