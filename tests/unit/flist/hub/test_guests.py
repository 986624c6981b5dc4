"""Requests without a token: they neither hold up those with one, nor take all memory."""

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flist.hub.state.blocks import Blocks
from flist.hub.web import sessions
from flist.hub.web.rfs import uploads
from flist.server.names import name_block
from tests.helpers.asgi import send_body, send_together
from tests.helpers.flist.hub import LocalHub, make_hub

if TYPE_CHECKING:
    from serving.bodies import BodyMemory

GUESTS = 12  # more than the hub has threads for uploads
LIMIT = 1 << 20


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub", max_body_memory=LIMIT, max_buffered_bytes=64 << 20)


def test_questions_of_guests_do_not_hold_up_uploads(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_stored = threading.Event()
    was_stored_first: list[bool] = []

    def wait(*_: object, **__: object) -> list[str]:
        was_stored_first.append(is_stored.wait(20))
        return []

    def put(*_: object, **__: object) -> bool:
        is_stored.set()
        return True

    monkeypatch.setattr(uploads, "find_missing", wait)
    monkeypatch.setattr(Blocks, "put", put)
    json = {"content-type": "application/json"}
    asked = [("/api/v1/block/verify", b'{"blocks": []}', json)] * GUESTS
    upload = ("/api/v1/block", b"data", {"authorization": f"Bearer {hub.tokens['alice']}"})
    answers = send_together(hub.app, [*asked, upload])
    assert was_stored_first == [True] * GUESTS
    assert [answer.status for answer in answers] == [200] * GUESTS + [201]


def test_bodies_of_guests_take_half_of_the_memory(hub: LocalHub) -> None:
    memory: BodyMemory = hub.app.state.kit.bodies
    memory.used = LIMIT // 2
    rows: dict[str, Any] = {"blocks": [{"block_hash": name_block(b"x"), "block_index": 0}]}
    assert hub.send("POST", "/api/v1/block/verify", rows).status == 503
    assert hub.send("POST", "/api/v1/block/verify", rows, user="alice").status == 200
    assert hub.send("POST", "/api/v1/block", b"x", user="alice").status == 201


def test_a_slow_upload_takes_memory_for_what_has_come(hub: LocalHub) -> None:
    """One piece is a megabyte, which is all there is here."""
    memory: BodyMemory = hub.app.state.kit.bodies
    memory.used = LIMIT // 2
    assert hub.send("POST", "/api/v1/file", b"few bytes", user="alice").status == 201


def test_too_many_sign_ins_at_once_are_told_to_wait(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients of many addresses, each within its own limit, fill the queue for passwords."""
    asked = {"username": "alice", "password": "alice-password"}
    assert hub.send("POST", "/api/v1/signin", asked).status == 201
    monkeypatch.setattr(sessions, "MAX_WAITING", 0)
    answer = hub.send("POST", "/api/v1/signin", asked)
    assert (answer.status, answer.headers["retry-after"]) == (429, "1")


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("text/plain", b"{}", 415),
        ("", b"{}", 415),
        ("application/json", b"{", 400),
        ("application/json", b"{}", 422),
        ("application/json; charset=utf-8", b'{"username": "eve", "password": "x"}', 401),
    ],
)
def test_only_json_is_taken_for_json(hub: LocalHub, kind: str, body: bytes, status: int) -> None:
    headers = {"content-type": kind} if kind else {}
    assert send_body(hub.app, "POST", "/api/v1/signin", body, headers).status == status
