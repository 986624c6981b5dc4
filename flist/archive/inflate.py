"""Decompresses archives: gzip, zstd, xz, bzip2 or plain, recognized by their first bytes.

Only one piece is kept, so memory does not depend on the size of an archive.
"""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

from flist.archive.errors import ArchiveError

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


def has_checked_end(start: bytes) -> bool:
    """Return whether `inflate` raises for what begins with `start` if the end is missing.

    The zstd library takes the end of its input for the end of a frame.
    """
    return (
        is_compressed(start) and not start.startswith(ZSTD_MAGIC) and (start[1:4] != ZSTD_SKIPPABLE)
    )


def is_bzip2(start: bytes) -> bool:
    """Return whether content that begins with `start` is bzip2.

    The first three bytes do not suffice: a tar archive begins with the name of a member.
    """
    return re.match(rb"BZh[1-9](1AY&SY|\x17rE8P\x90)", start) is not None


class Stream(Protocol):
    """A stream of bytes, which need not be seekable."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to `size` bytes, none only at the end."""


class Rejoined:
    """A stream whose first bytes were read already."""

    def __init__(self, start: bytes, rest: Stream) -> None:
        self.start = start
        self.rest = rest

    def read(self, size: int = READ_BYTES) -> bytes:
        """Return up to `size` bytes, none only at the end."""
        if self.start:
            found, self.start = self.start[:size], self.start[size:]
            return found
        return self.rest.read(size)


def read_start(stream: Stream) -> bytes:
    """Return the first `MAGIC_BYTES` bytes of a stream, fewer if it has no more."""
    start = b""
    while len(start) < MAGIC_BYTES and (more := stream.read(MAGIC_BYTES - len(start))):
        start += more
    return start


def inflate(stream: Stream) -> Iterator[bytes]:
    """Yield the decompressed bytes of `stream`, in pieces."""
    return inflate_rest(read_start(stream), stream)


def inflate_rest(start: bytes, rest: Stream) -> Iterator[bytes]:
    """Yield the decompressed bytes of a stream whose first `MAGIC_BYTES` bytes are `start`."""
    stream = Rejoined(start, rest)
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
    stream: Stream, name: str, make: Callable[[], lzma.LZMADecompressor | bz2.BZ2Decompressor]
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
                    raise ArchiveError(f"the {name} stream is cut off")
            if piece := engine.decompress(data, PIECE_BYTES):
                yield piece
            data = b""
    except (lzma.LZMAError, OSError, EOFError) as error:
        raise ArchiveError(f"the {name} stream is broken: {error}") from error


def gunzip(stream: Stream) -> Iterator[bytes]:
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
            raise ArchiveError(f"the gzip stream is broken: {error}") from error
        is_begun = True
        is_full = len(piece) == PIECE_BYTES and not engine.eof
        data = engine.unused_data if engine.eof else engine.unconsumed_tail
        if piece:
            yield piece
    if is_begun and not engine.eof:
        raise ArchiveError("the gzip stream is cut off")


def unzstd(stream: Stream) -> Iterator[bytes]:
    """Yield the pieces of zstd frames."""
    import zstandard

    engine = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
    try:
        with engine.stream_reader(
            cast("BinaryIO", stream), read_across_frames=True, closefd=False
        ) as reader:
            while piece := reader.read(PIECE_BYTES):
                yield piece
    except zstandard.ZstdError as error:
        raise ArchiveError(f"the zstd stream is broken: {error}") from error
