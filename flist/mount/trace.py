"""Which chunks a mount read, in order, so that the next one can have them before it needs them.

A text file: `<inode number> <chunk index>` a line, for the flist whose identity does not change.
"""

from collections.abc import Iterator
from pathlib import Path

from flist.errors import FlistError
from flist.format.opening import open_flist
from flist.model import Block

MAX_LINES = 10_000_000


class Recorder:
    """Writes a trace; each chunk once, when it is read for the first time."""

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
    """Give (inode number, chunk index) of every line; a last one that is cut off is left out.

    Raises `FlistError` if it can't be read, or begins with something else.
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
                        f"cannot read trace {path}: it is none", hint="`mount --record` makes one"
                    )
    except OSError as error:
        raise FlistError(f"cannot read trace {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise FlistError(f"cannot read trace {path}: it is no text") from error


def check_trace(path: Path) -> None:
    """Raise `FlistError` if there is no trace in `path`."""
    next(parse_trace(path), None)


def read_trace(path: Path, meta: Path) -> list[Block]:
    """Return the blocks of a trace, first read first; what the flist does not have is left out."""
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
