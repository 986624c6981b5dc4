"""Signatures inside a flist: after the database's last page, which SQLite never reads.

    database | zero bytes | signature texts (`signature.py`) | MAGIC | length of the texts (u64, LE)

The bytes after the database are a whole number of pages. A signature is over the database, byte for
byte, so it can be checked before SQLite opens the file, as with a signature beside the file. If a
program changes the database, the signature no longer fits.
"""

import hashlib
import io
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from common.files import open_regular
from flist.errors import FlistError, SignatureError
from flist.format.sqlitefile import MAGIC as DATABASE_MAGIC

MAGIC = b"zos-flist-sign-1"
FOOTER = struct.Struct("<16sQ")
PAGE_BYTES = 4096
MAX_SIGNATURES = 16
MAX_TEXT_BYTES = MAX_SIGNATURES * 4096
LINES = 3
READ_BYTES = 1 << 20


def read_trailer(path: Path) -> tuple[int, list[str]]:
    """Return the size of the database in bytes and the texts of the signatures, if there are any.

    Raises `SignatureError` if the trailer breaks the rules above, `FlistError` if the file can't be
    read.
    """
    try:
        with open_regular(path) as stream:
            return find_trailer(stream)
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error


def find_trailer(stream: BinaryIO) -> tuple[int, list[str]]:
    """Do what `read_trailer` does with an open file."""
    size = stream.seek(0, os.SEEK_END)
    if size < FOOTER.size:
        return size, []
    stream.seek(size - FOOTER.size)
    magic, length = FOOTER.unpack(stream.read(FOOTER.size))
    if magic != MAGIC:
        return size, []
    total = -(-(length + FOOTER.size) // PAGE_BYTES) * PAGE_BYTES
    if length > MAX_TEXT_BYTES or total > size:
        raise SignatureError("the signature inside the flist is cut off or too long")
    body = size - total
    stream.seek(body)
    blank = stream.read(total - length - FOOTER.size)
    data = stream.read(length)
    if blank.strip(b"\0") or body != database_size(stream):
        raise SignatureError("there is something between the flist and the signature inside it")
    return body, split_texts(data)


def database_size(stream: BinaryIO) -> int:
    """Return the size in bytes that a database's header gives; raises `SignatureError`."""
    stream.seek(0)
    header = stream.read(100)
    if len(header) < 100 or not header.startswith(DATABASE_MAGIC):
        raise SignatureError("the signature is inside a file that is not a .fl file")
    page = int.from_bytes(header[16:18], "big")
    if (
        header[24:28] != header[92:96]
    ):  # then SQLite would trust the file's length, trailer included
        raise SignatureError("the flist was changed after it was signed")
    return (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")


def read_database(path: Path) -> bytes:
    """Return the bytes of the database in `path`, without its trailer, whether that fits or not."""
    data = path.read_bytes()
    if data[-FOOTER.size :].startswith(MAGIC):
        size = database_size(io.BytesIO(data))
        if size <= len(data):
            return data[:size]
    return data


def split_texts(data: bytes) -> list[str]:
    """Return the texts of the signatures, three lines each; raises `SignatureError`."""
    try:
        lines = data.decode().splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise SignatureError("the signature inside the flist is not text") from error
    if not lines or len(lines) % LINES or len(lines) > LINES * MAX_SIGNATURES:
        raise SignatureError("the signature inside the flist is not name, sha256 and ed25519")
    return ["".join(lines[at : at + LINES]) for at in range(0, len(lines), LINES)]


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex; raises `FlistError`."""
    try:
        with open_regular(path) as stream:
            return stream_sha256(stream)
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error


def stream_sha256(stream: BinaryIO, size_bytes: int = sys.maxsize) -> str:
    """Return the SHA-256 of an open file, or of its first `size_bytes`, in hex."""
    total = hashlib.sha256()
    left = size_bytes
    stream.seek(0)
    while left > 0 and (piece := stream.read(min(left, READ_BYTES))):
        total.update(piece)
        left -= len(piece)
    return total.hexdigest()


def join_trailer(body: bytes, texts: Sequence[str]) -> bytes:
    """Return the bytes of a signed flist: the database `body` and the trailer of `texts`.

    Raises `FlistError` if there are too many signatures.
    """
    if len(texts) > MAX_SIGNATURES:
        raise FlistError(
            f"cannot sign: there are {MAX_SIGNATURES} signatures inside already",
            hint="--replace removes them",
        )
    data = "".join(texts).encode()
    used = len(data) + FOOTER.size
    return body + bytes(-used % PAGE_BYTES) + data + FOOTER.pack(MAGIC, len(data))
