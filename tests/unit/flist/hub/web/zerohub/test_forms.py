"""Forms with a file: parts in any order, whole or broken, with limits."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI, Request

from flist.hub.web.zerohub.envelope import EnvelopeRoute, success
from flist.hub.web.zerohub.forms import MAX_FIELDS, MAX_FIELDS_BYTES, receive_form
from serving import kit
from serving.settings import ServerSettings
from tests.helpers.asgi import Answer, send_body

LIMIT = 1 << 20
MARK = "----mark"
Part = tuple[str, str | None, bytes]


@pytest.fixture(name="app")
def make_app(tmp_path: Path) -> FastAPI:
    app = FastAPI()
    shared = kit.install(app, ServerSettings())
    app.router.route_class = EnvelopeRoute

    async def take(request: Request) -> object:
        pool = shared.pools.uploads
        async with receive_form(request, tmp_path, LIMIT, pool) as form:
            data = form.path.read_bytes() if form.path else b""
            return success([form.fields, form.file_name, data.decode()])

    app.add_api_route("/", take, methods=["POST"], response_model=None)
    return app


def encode(parts: list[Part]) -> bytes:
    body = b""
    for name, file_name, data in parts:
        head = f'--{MARK}\r\nContent-Disposition: form-data; name="{name}"'
        head += "" if file_name is None else f'; filename="{file_name}"'
        body += head.encode() + b"\r\n\r\n" + data + b"\r\n"
    return body + f"--{MARK}--\r\n".encode()


def send(app: FastAPI, body: bytes, kind: str = f"multipart/form-data; boundary={MARK}") -> Answer:
    return send_body(app, "POST", "/", body, {"content-type": kind})


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path) -> Iterator[None]:
    yield
    assert list(tmp_path.iterdir()) == []


def test_the_first_file_and_all_fields_are_taken(app: FastAPI) -> None:
    parts: list[Part] = [
        ("metadata-a", None, "é\nb".encode()),
        ("archive", "other", b"not this one"),
        ("file", "café.tar.gz", b"\0\xc3\xa9" * 4),
        ("file", "second", b"nor this"),
        ("metadata-a", None, b""),
    ]
    answer = send(app, encode(parts))
    assert answer.status == 200, answer.text
    fields = '[["metadata-a","é\\nb"],["metadata-a",""]]'
    assert f'[{fields},"café.tar.gz","' in answer.text


def test_a_file_without_a_name_is_still_one(app: FastAPI) -> None:
    assert '[[],"","x"]' in send(app, encode([("file", "", b"x")])).text


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data", ""])
def test_another_body_is_an_empty_form(app: FastAPI, kind: str) -> None:
    assert '[[],null,""]' in send(app, b"{}", kind).text


def test_a_plain_form_has_fields_only(app: FastAPI) -> None:
    answer = send(app, b"a=1&file=x&a=", "application/x-www-form-urlencoded")
    assert '[[["a","1"],["file","x"],["a",""]],null,""]' in answer.text


@pytest.mark.parametrize("length", [10, -3, -4, -40])
def test_a_form_that_ends_too_early_is_refused(app: FastAPI, length: int) -> None:
    answer = send(app, encode([("file", "a.tar.gz", b"x" * 100)])[:length])
    assert answer.status == 400
    assert answer.text.startswith('{"status":"error","message":"the form ')


def test_a_file_beyond_the_limit_is_refused(app: FastAPI) -> None:
    answer = send(app, encode([("file", "a.tar.gz", b"x" * LIMIT)]))
    assert answer.status == 413


def test_fields_are_limited_together(app: FastAPI) -> None:
    large = [("a", None, b"x" * (MAX_FIELDS_BYTES // 2 + 1))] * 2
    many = [("a", None, b"")] * (MAX_FIELDS + 1)
    for parts in (large, many):
        answer = send(app, encode(list(parts)))
        assert (answer.status, "too large" in answer.text) == (400, True)


def test_headers_of_a_part_are_limited(app: FastAPI) -> None:
    answer = send(app, encode([("file", "a" * 100_000, b"x")]))
    assert answer.status == 400
