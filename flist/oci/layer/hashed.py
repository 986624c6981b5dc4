"""A layer's stream, whose digest is checked."""

from collections.abc import Iterator

from flist.archive.reader import PieceReader
from flist.oci.digest import Digest
from flist.oci.errors import ImageError


class HashedReader(PieceReader):
    """Hashes what it reads."""

    def __init__(self, pieces: Iterator[bytes], digest: Digest, limit: int) -> None:
        super().__init__(self.hash_all(pieces), limit, "image")
        self.digest = digest
        self.hasher = digest.hasher()

    def hash_all(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Pass on pieces after they were hashed."""
        for piece in pieces:
            self.hasher.update(piece)
            yield piece

    def finish(self) -> None:
        """Read to the end; raises `ImageError` unless the whole stream has the digest."""
        self.drain()
        if self.hasher.hexdigest() != self.digest.hex:
            raise ImageError(f"the image is refused: a layer does not unpack to {self.digest}")
