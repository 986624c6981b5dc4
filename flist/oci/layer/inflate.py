"""Decompresses layers: gzip, zstd, xz, bzip2 or plain, recognized by their first bytes. Counts and
hashes the result.

Only one piece is kept, so memory does not depend on the size of a layer.
"""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from flist.oci.digest import Digest
from flist.oci.errors import ImageError

READ_BYTES = 256 << 10
PIECE_BYTES = 1 << 20
MAX_WINDOW_BYTES = 128 << 20
MAGIC_BYTES = 10
XZ_MAGIC = b"\xfd7zXZ\0"
GZIP_MAGIC = b"\x1f\x8b"
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
ZSTD_SKIPPABLE = b"\x2a\x4d\x18"


def is_compressed(start: bytes) -> bool:
    """Return whether content that begins with `start` (`MAGIC_BYTES` bytes) is compressed."""
    known = (GZIP_MAGIC, ZSTD_MAGIC, XZ_MAGIC)
    return start.startswith(known) or start[1:4] == ZSTD_SKIPPABLE or is_bzip2(start)


def is_bzip2(start: bytes) -> bool:
    """Return whether content that begins with `start` is bzip2.

    The first three bytes do not suffice: a tar archive begins with the name of a member.
    """
    return re.match(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", start) is not None


def inflate(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the decompressed bytes of the seekable `stream`, in pieces."""
    start = stream.read(MAGIC_BYTES)
    stream.seek(0)
    if start.startswith(GZIP_MAGIC):
        return gunzip(stream)
    if start.startswith(XZ_MAGIC):
        return unpack_streams(stream, "xz", new_unxz)
    if is_bzip2(start):
        return unpack_streams(stream, "bzip2", bz2.BZ2Decompressor)
    return unzstd(stream) if is_compressed(start) else iter(lambda: stream.read(PIECE_BYTES), b"")


def new_unxz() -> lzma.LZMADecompressor:
    """Return a decompressor of one xz stream, with limited memory."""
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MAX_WINDOW_BYTES)


def unpack_streams(
    stream: BinaryIO, name: str, make: Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor]
) -> Iterator[bytes]:
    """Yield the pieces of one or several xz or bzip2 streams, with optional zero bytes between."""
    engine = make()
    data = b""
    try:
        while True:
            if engine.eof:
                data = engine.unused_data.lstrip(b"\0")
                while not data:
                    data = stream.read(READ_BYTES)
                    if not data:
                        return
                    data = data.lstrip(b"\0")
                engine = make()
            elif engine.needs_input:
                data = stream.read(READ_BYTES)
                if not data:
                    raise ImageError(f"the layer's {name} stream is cut off")
            if piece := engine.decompress(data, PIECE_BYTES):
                yield piece
            data = b""
    except (lzma.LZMAError, OSError, EOFError) as error:
        raise ImageError(f"the layer's {name} stream is broken: {error}") from error


def gunzip(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the pieces of one or several gzip members."""
    engine = zlib.decompressobj(31)
    data, is_full, is_begun = b"", False, False
    while True:
        if not data and not is_full:
            data = stream.read(READ_BYTES)
            if not data:
                break
        if engine.eof:
            if not data.strip(b"\0"):  # padding after the last member
                data = b""
                continue
            engine = zlib.decompressobj(31)
        try:
            piece = engine.decompress(data, PIECE_BYTES)
        except zlib.error as error:
            raise ImageError(f"the layer's gzip stream is broken: {error}") from error
        is_begun = True
        is_full = len(piece) == PIECE_BYTES and not engine.eof
        data = engine.unused_data if engine.eof else engine.unconsumed_tail
        if piece:
            yield piece
    if is_begun and not engine.eof:
        raise ImageError("the layer's gzip stream is cut off")


def unzstd(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the pieces of zstd frames."""
    import zstandard

    engine = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        with engine.stream_reader(stream, read_across_frames=True, closefd=False) as reader:
            while piece := reader.read(PIECE_BYTES):
                yield piece
    except zstandard.ZstdError as error:
        raise ImageError(f"the layer's zstd stream is broken: {error}") from error


class PieceReader:
    """Reads pieces as one stream of at most `limit` bytes, and hashes it."""

    def __init__(self, pieces: Iterator[bytes], digest: Digest, limit: int) -> None:
        self.pieces = pieces
        self.digest = digest
        self.hasher = digest.hasher()
        self.limit = limit
        self.total = 0
        self.piece = memoryview(b"")

    def fill(self) -> bool:
        """Get the next piece; returns false at the end."""
        data = next(self.pieces, b"")
        self.hasher.update(data)
        self.total += len(data)
        if self.total > self.limit:
            raise ImageError(
                f"the image is refused: it unpacks to more than {self.limit} bytes",
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
        """Skip `size` bytes; raises `ImageError` if there are fewer."""
        while size and (self.piece or self.fill()):
            count = min(size, len(self.piece))
            self.piece = self.piece[count:]
            size -= count
        if size:
            raise ImageError("the archive is cut off")

    def finish(self) -> None:
        """Read to the end; raises `ImageError` unless the whole stream has the digest."""
        while self.fill():
            pass
        if self.hasher.hexdigest() != self.digest.hex:
            raise ImageError(f"the image is refused: a layer does not unpack to {self.digest}")
