"""The reference of the API is the table of calls, and so is the client."""

import re

from core.api.openapi import describe
from core.api.routes import ROUTES, TOP
from core.remote.commands import COMMANDS
from tests.helpers.checkout import TOP as CHECKOUT

REFERENCE = CHECKOUT / "docs" / "node-api.md"


def show_rows() -> list[str]:
    return [
        f"| `{one.method} {one.path}` | {one.role.word} | `{one.kind}` | {one.asks} | "
        f"{one.summary.rstrip('.')} |"
        for one in ROUTES
    ]


def test_the_reference_has_the_table() -> None:
    lines = REFERENCE.read_text().splitlines()
    assert [line for line in lines if re.match(r"\| `(GET|POST) ", line)] == show_rows()


def test_the_reference_has_every_command() -> None:
    text = REFERENCE.read_text()
    for name in (*COMMANDS, "ls", "key", "certificate"):
        assert re.search(rf"\b{name}\b", text), name


def test_the_description_has_every_call() -> None:
    paths = describe()["paths"]
    found = {(method.upper(), path) for path, calls in paths.items() for method in calls}
    assert found == {(one.method, f"{TOP}{one.path}") for one in ROUTES}
    names = [call["operationId"] for calls in paths.values() for call in calls.values()]
    assert len(names) == len(set(names))


def test_what_changes_something_takes_post_and_more_than_a_reader() -> None:
    for one in ROUTES:
        assert one.method in ("GET", "POST")
        assert one.method == "GET" or one.role.word != "reader"
