"""Reads the forms of the pages: their fields, and the files that come with them."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import BinaryIO, cast
from urllib.parse import parse_qs

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from flist.hub.errors import InvalidError
from serving.bodies import PIECE_BYTES, read_body, read_pieces

FORM_BYTES = 16 << 10
MAX_FIELDS = 20
FIELD_BYTES = 1000


async def read_fields(request: Request) -> Mapping[str, list[str]]:
    """Return the fields of a form without files. Raises `InvalidError`."""
    body = await read_body(request, FORM_BYTES)
    try:
        text = body.decode()
        if "%00" in text or "\0" in text:
            raise ValueError("a zero byte")
        return parse_qs(text, keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise InvalidError("this is not the form of a page") from error


def take(fields: Mapping[str, list[str]], name: str) -> str:
    """Return one field of a form, without spaces around it; "" if there is none."""
    return fields.get(name, [""])[0].strip()


async def read_upload(request: Request, limit: int) -> FormData:
    """Return a form with files, which its reader closes. Raises `InvalidError`.

    A large file is in a temporary one of its own, without a name. The kit counts what is in memory.
    """
    pieces = cast("AsyncGenerator[bytes, None]", read_pieces(request, PIECE_BYTES, limit))
    parser = MultiPartParser(
        request.headers, pieces, max_files=2, max_fields=MAX_FIELDS, max_part_size=FIELD_BYTES
    )
    try:
        return await parser.parse()
    except (MultiPartException, KeyError) as error:
        raise InvalidError("this is not the form of a page") from error


def field_of(form: FormData, name: str) -> str:
    """Return one field of a form with files."""
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def file_of(form: FormData, name: str) -> UploadFile | None:
    """Return a file of a form; None if none was chosen."""
    value = form.get(name)
    return value if isinstance(value, UploadFile) and value.filename else None


def pieces_of(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    stream.seek(0)
    while piece := stream.read(PIECE_BYTES):
        yield piece
