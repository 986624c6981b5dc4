"""Joins unpacked pieces to the stream that the tar reader reads."""

from collections.abc import Iterator

from flist.archive.errors import ArchiveError


class PieceReader:
    """Reads pieces as one stream of at most `limit` bytes; `what` is named in errors."""

    def __init__(self, pieces: Iterator[bytes], limit: int, what: str = "archive") -> None:
        self.pieces = pieces
        self.limit = limit
        self.what = what
        self.total = 0
        self.piece = memoryview(b"")

    def fill(self) -> bool:
        """Get the next piece; returns false at the end."""
        data = next(self.pieces, b"")
        self.total += len(data)
        if self.total > self.limit:
            raise ArchiveError(
                f"the {self.what} is refused: it unpacks to more than {self.limit} bytes",
                hint="--max-size BYTES raises the limit",
            )
        self.piece = memoryview(data)
        return bool(data)

    def read(self, size: int) -> bytes:
        """Return `size` bytes, fewer at the end."""
        if size <= len(self.piece):
            found = bytes(self.piece[:size])
            self.piece = self.piece[size:]
            return found
        parts = []
        while size and (self.piece or self.fill()):
            part = self.piece[:size]
            parts.append(part)
            self.piece = self.piece[len(part) :]
            size -= len(part)
        return b"".join(parts)

    def skip(self, size: int) -> None:
        """Skip `size` bytes; raises `ArchiveError` if there are fewer."""
        while size and (self.piece or self.fill()):
            count = min(size, len(self.piece))
            self.piece = self.piece[count:]
            size -= count
        if size:
            raise ArchiveError("the archive is cut off")

    def drain(self) -> None:
        """Read to the end, so that a decompressor checks all of its input."""
        while self.fill():
            pass
