"""Whatever the registry answers, it is an answer or an error that says why."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from core.report.registry import ANSWER_MAX_BYTES, Position, Registry, RegistryError, Reply
from core.report.schedule import INTERVAL_S
from tests.helpers.core.registry import FakeRegistry, fault, hang_up


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while OPENED:
        OPENED.pop().close()


OPENED: list[Registry] = []


def ask(url: str, proxy: tuple[str, int] | None = None) -> Registry:
    OPENED.append(Registry(url, proxy))
    return OPENED[-1]


def test_a_node_that_never_reported_begins_anew() -> None:
    with FakeRegistry() as fake:
        assert ask(fake.url).position("abc") == Position("nonce-0", "", 0)
    assert fake.asked == ["GET /api/v1/nodes/abc/nonce"]


def test_the_registry_may_be_below_a_path() -> None:
    with FakeRegistry() as fake:
        ask(f"{fake.url}/base").position("abc")
    assert fake.asked == ["GET /base/api/v1/nodes/abc/nonce"]


@pytest.mark.parametrize(
    "fields",
    [
        b"",
        b"<html>",
        b"[]",
        b"{",
        b"[" * 100_000,
        {"nonce": "", "boot": None, "sequence": 0},
        {"nonce": "x" * 65, "boot": None, "sequence": 0},
        {"nonce": 5, "boot": None, "sequence": 0},
        {"nonce": "x", "boot": None, "sequence": -1},
        {"nonce": "x", "boot": None, "sequence": 1.5},
        {"nonce": "x", "boot": 7, "sequence": 1},
        {"nonce": "x", "boot": None, "sequence": 2**80},
        {"nonce": "x", "boot": None, "sequence": 0, "more": "x" * ANSWER_MAX_BYTES},
    ],
)
def test_an_answer_that_is_none_is_an_error(fields: Any) -> None:
    with FakeRegistry() as fake:
        fake.faults.append(fault(200, fields))
        with pytest.raises(RegistryError, match="is none"):
            ask(fake.url).position("abc")


def test_a_refusal_says_why_and_how_long_to_wait() -> None:
    with FakeRegistry() as fake:
        fields = {"detail": "there is no farm 7", "hint": "register it", "title": "x"}
        fake.faults.append(fault(503, fields, Retry_After="30"))
        with pytest.raises(
            RegistryError, match=r"refuses the report \(503\): there is no"
        ) as caught:
            ask(fake.url).send("abc", "{}")
    assert (caught.value.status, caught.value.wait_s) == (503, 30.0)
    assert caught.value.hint == "register it"


@pytest.mark.parametrize("status", [302, 400, 403, 404, 500])
def test_a_refusal_without_words_is_one_too(status: int) -> None:
    with FakeRegistry() as fake:
        fake.faults.append(fault(status, b"oops", Retry_After="soon", Location="http://x/"))
        with pytest.raises(RegistryError, match="does not say why") as caught:
            ask(fake.url).position("abc")
    assert (caught.value.status, caught.value.wait_s) == (status, 0.0)


@pytest.mark.parametrize("value", [10**400, -(10**400), 1e300, 2**54, "7", True, None, [1]])
def test_numbers_that_cannot_be_meant_are_not_taken(value: Any) -> None:
    with FakeRegistry() as fake:
        fake.faults.append(fault(200, {"nonce": "x", "interval_s": value, "time": value}))
        assert ask(fake.url).send("abc", "{}") == Reply("x", INTERVAL_S, 0.0)


def test_no_answer_is_an_error_that_names_the_registry() -> None:
    with FakeRegistry() as fake:
        fake.faults.append(hang_up)
        with pytest.raises(RegistryError, match=f"cannot reach {fake.url}"):
            ask(fake.url).position("abc")
    with pytest.raises(RegistryError, match=f"cannot reach {fake.url}"):
        ask(fake.url).position("abc")


def test_a_silent_registry_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(RegistryError, match="timed out"):
            ask(url).position("abc", 0.2)


def test_a_proxy_is_asked_for_the_whole_address() -> None:
    with FakeRegistry() as proxy:
        host, port = str(proxy.server.server_address[0]), int(proxy.server.server_address[1])
        ask("http://registry.example", (host, port)).position("abc")
    assert proxy.asked == ["GET http://registry.example:80/api/v1/nodes/abc/nonce"]
