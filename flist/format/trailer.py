"""Signatures inside a flist: behind the database's last page, where SQLite never looks.

    database | zero bytes | signature texts (`sign.py`) | MAGIC | length of the texts (u64, LE)

Everything behind the database together is a whole number of pages. What is signed is the database,
byte for byte, so it is checked before SQLite opens it, as with a signature beside the file. A
program that changes the database leaves a signature that does not fit any more.
"""

import hashlib
import io
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from common.files import open_regular
from flist.errors import FlistError, SignatureError

MAGIC = b"zos-flist-sign-1"
FOOTER = struct.Struct("<16sQ")
PAGE_BYTES = 4096
MAX_SIGNATURES = 16
MAX_TEXT_BYTES = MAX_SIGNATURES * 4096
DATABASE_MAGIC = b"SQLite format 3\x00"
LINES = 3


def read_trailer(path: Path) -> tuple[int, list[str]]:
    """Return how many bytes the database has, and the signatures' texts; none: no signature.

    Raises `SignatureError` for a trailer that breaks the rules, and `FlistError`.
    """
    try:
        with open_regular(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            return find_trailer(stream, size)
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error


def find_trailer(stream: BinaryIO, size: int) -> tuple[int, list[str]]:
    """Return the same of an open file of `size` bytes."""
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
        raise SignatureError("something else stands between the flist and the signature inside it")
    return body, split_texts(data)


def database_size(stream: BinaryIO) -> int:
    """Return how many bytes the header of a database says that it has."""
    stream.seek(0)
    header = stream.read(100)
    if len(header) < 100 or not header.startswith(DATABASE_MAGIC):
        raise SignatureError("it is not a .fl file that the signature is inside of")
    page = int.from_bytes(header[16:18], "big")
    if header[24:28] != header[92:96]:  # else SQLite believes the file's length, trailer and all
        raise SignatureError("the flist was changed after it was signed")
    return (65536 if page == 1 else page) * int.from_bytes(header[28:32], "big")


def read_database(path: Path) -> bytes:
    """Return the bytes of the database in `path`, without a trailer, even one that fits no more."""
    data = path.read_bytes()
    if data[-FOOTER.size :].startswith(MAGIC):
        size = database_size(io.BytesIO(data))
        if size <= len(data):
            return data[:size]
    return data


def split_texts(data: bytes) -> list[str]:
    """Return the signatures, three lines each."""
    try:
        lines = data.decode().splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise SignatureError("the signature inside the flist is not text") from error
    if not lines or len(lines) % LINES or len(lines) > LINES * MAX_SIGNATURES:
        raise SignatureError("the signature inside the flist is not name, sha256 and ed25519")
    return ["".join(lines[at : at + LINES]) for at in range(0, len(lines), LINES)]


def body_sha256(path: Path, body_bytes: int) -> str:
    """Return SHA-256 of the database, in hex."""
    total = hashlib.sha256()
    try:
        with open_regular(path) as stream:
            while body_bytes > 0 and (piece := stream.read(min(body_bytes, 1 << 20))):
                total.update(piece)
                body_bytes -= len(piece)
    except OSError as error:
        raise FlistError(f"cannot read {path}: {error.strerror}") from error
    return total.hexdigest()


def join_trailer(body: bytes, texts: Sequence[str]) -> bytes:
    """Return a flist's bytes: the database `body` and the signatures; raises `FlistError`."""
    if len(texts) > MAX_SIGNATURES:
        raise FlistError(
            f"cannot sign: there are {MAX_SIGNATURES} signatures inside already",
            hint="--replace puts the new one in their place",
        )
    data = "".join(texts).encode()
    used = len(data) + FOOTER.size
    return body + bytes(-used % PAGE_BYTES) + data + FOOTER.pack(MAGIC, len(data))
