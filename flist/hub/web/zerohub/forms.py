"""Forms with one file, which goes to disk as it arrives."""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from flist.hub.errors import HubError
from serving.bodies import PIECE_BYTES, read_body, read_pieces
from serving.pools import Pool

FILE = "file"
MULTIPART = b"multipart/form-data"
MAX_FIELDS = 100
MAX_FIELDS_BYTES = 256 << 10
MAX_FORM_BYTES = 1 << 20


@dataclass(slots=True)
class Form:
    """The fields of a form, and its file; `file_name` is None if the form has none."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    file_name: str | None = None
    path: Path | None = None

    def values(self, name: str) -> list[str]:
        """Return the values of a field, in the order in which they were sent."""
        return [value for key, value in self.fields if key == name]

    def first(self, name: str) -> str | None:
        """Return the first value of a field, or None."""
        return next(iter(self.values(name)), None)


class FormReader:
    """Takes a multipart body apart. What belongs to the file waits in `pending` to be written."""

    def __init__(self, boundary: bytes) -> None:
        self.form = Form()
        self.pending = bytearray()
        self.is_over = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._options: Mapping[bytes, bytes] = {}
        self._value = bytearray()
        self._is_file = False
        self._left = MAX_FIELDS_BYTES
        self.parser = MultipartParser(boundary, {
            "on_part_begin": self.begin, "on_header_field": self.take_key,
            "on_header_value": self.take_value, "on_header_end": self.end_header,
            "on_headers_finished": self.start_part, "on_part_data": self.take_data,
            "on_part_end": self.end_part, "on_end": self.end,
        })  # fmt: skip

    def begin(self) -> None:
        """Forget the part before."""
        self._options, self._value, self._is_file = {}, bytearray(), False
        self._header = (bytearray(), bytearray())

    def take_key(self, data: bytes, start: int, stop: int) -> None:
        """Take a piece of a header's name."""
        self._header[0].extend(data[start:stop])

    def take_value(self, data: bytes, start: int, stop: int) -> None:
        """Take a piece of a header's value."""
        self._header[1].extend(data[start:stop])

    def end_header(self) -> None:
        """Take what a part says of itself."""
        key, value = (bytes(text) for text in self._header)
        if key.lower() == b"content-disposition":
            self._options = parse_options_header(value)[1]
        self._header = (bytearray(), bytearray())

    def start_part(self) -> None:
        """Decide where a part's data goes; of several files, the first one counts."""
        if b"filename" in self._options and self.name == FILE and self.form.file_name is None:
            self._is_file = True
            self.form.file_name = self._options[b"filename"].decode(errors="replace")

    @property
    def name(self) -> str:
        """Return the name of the part's field."""
        return self._options.get(b"name", b"").decode(errors="replace")

    def take_data(self, data: bytes, start: int, stop: int) -> None:
        """Take a piece of a part. Raises `HubError` when the fields are too large together."""
        if self._is_file:
            self.pending += data[start:stop]
        elif b"filename" not in self._options:
            self._left -= stop - start
            self._value += data[start:stop]
            self.check_fields()

    def end_part(self) -> None:
        """Keep a field."""
        if b"filename" not in self._options:
            self.form.fields.append((self.name, self._value.decode(errors="replace")))
            self.check_fields()

    def check_fields(self) -> None:
        """Raise `HubError` if there are too many fields, or too large ones."""
        if self._left < 0 or len(self.form.fields) > MAX_FIELDS:
            raise HubError("the form's fields are too large")

    def end(self) -> None:
        """Note that the last boundary has come."""
        self.is_over = True


@contextlib.asynccontextmanager
async def receive_form(
    request: Request, folder: Path, limit: int, pool: Pool
) -> AsyncIterator[Form]:
    """Give the form of a request; its file is in `folder` until the end of the block.

    Raises `HubError` for a broken form, `BodyTooLargeError` for more than `limit` bytes.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != MULTIPART or b"boundary" not in options:
        yield Form(await read_plain(request, kind))
        return
    descriptor, name = await pool.run(tempfile.mkstemp, ".part", "form-", folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            form = await fill(request, options[b"boundary"], stream, limit, pool)
        form.path = Path(name)
        yield form
    finally:
        await pool.run(Path(name).unlink, missing_ok=True)


async def fill(request: Request, boundary: bytes, stream: BinaryIO, limit: int, pool: Pool) -> Form:
    """Write the file of a form into `stream`; return the form."""
    try:
        reader = FormReader(boundary)
        async for piece in read_pieces(request, PIECE_BYTES, limit):
            reader.parser.write(piece)
            await pool.run(stream.write, bytes(reader.pending))
            reader.pending.clear()
    except FormParserError as error:
        raise HubError("the form cannot be read") from error
    if not reader.is_over:
        raise HubError("the form ends too early")
    return reader.form


async def read_plain(request: Request, kind: bytes) -> list[tuple[str, str]]:
    """Return the fields of a form without a file; a body of another kind has none."""
    body = await read_body(request, MAX_FORM_BYTES)
    if kind != b"application/x-www-form-urlencoded":
        return []
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise HubError("the form cannot be read") from error
    return pairs
