"""What the hub's description says of all its addresses holds, whatever a client sends.

The addresses are those of the description, so that one that is added is tested at once. Requests
are those of nobody and of a user; parts are arbitrary, or lead further: names that exist.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.helpers.flist.hub import LocalHub, make_flist, make_hub

pytestmark = pytest.mark.timeout(1800)
Case = schemathesis.Case[Any]
Operation = schemathesis.APIOperation[Any, Any, Any, Any]
FEW, MANY = 6, 40  # requests for each address
NO_LIMITS: dict[str, Any] = {"sign_in_per_minute": 0, "jobs": 0}
ENDLESS = ("/events", "/listen")


@pytest.fixture(name="hub", scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> LocalHub:
    """Make a hub with a flist and a file; its limits let all requests through."""
    folder = tmp_path_factory.mktemp("described")
    hub = make_hub(folder / "hub", **NO_LIMITS)
    data = make_flist(folder, hub.root, "content")
    assert hub.send("PUT", "/alice/tree.fl", data, user="alice").status == 201
    assert hub.send("POST", "/api/v1/file", b"file", user="alice").status == 201
    return hub


def known_parts(hub: LocalHub) -> dict[str, list[str]]:
    """Return values of parts of addresses that lead further."""
    digest = hub.get("/api/v1/fl/history/alice/tree.fl")["versions"][0]["digest"]
    block = hub.get("/api/v1/blocks")["blocks"][0]
    odd = ["..", "a/b", "\0", "x" * 256, "\u202e.fl", "a\r\nb", "ä"]
    return {
        "repo": ["alice", *odd], "name": ["tree.fl", "alice", digest, block, "tree", *odd],
        "digest": [digest, *odd], "prefix": [block[:2]],
        "path": ["", "file", "flists/alice/tree.fl", *odd],
        "number": ["1", "-1", "9" * 30], "user": ["alice", *odd], "flist": ["tree.fl", *odd],
        "tag": ["v1", *odd], "group": ["alice", *odd], "page": ["1"],
    }  # fmt: skip


def without_lifespan(app: ASGIApp) -> ASGIApp:
    """Return the application as one that neither starts nor ends: each request would do both."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)
        else:
            for step in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{step}.complete"})

    return call


def list_operations(hub: LocalHub) -> list[Operation]:
    """Return the described operations but streams, which have no end; none may be malformed."""
    found = []
    description = schemathesis.openapi.from_asgi("/api/openapi.json", without_lifespan(hub.app))
    for result in description.get_all_operations():
        assert isinstance(result, Ok), result
        found.append(result.ok())
    return [operation for operation in found if not operation.path.endswith(ENDLESS)]


@pytest.mark.parametrize("user", ["", "alice"])
@pytest.mark.parametrize("examples", [FEW, pytest.param(MANY, marks=pytest.mark.matrix)])
def test_every_answer_is_described(hub: LocalHub, user: str, examples: int) -> None:
    operations, parts, faults = list_operations(hub), known_parts(hub), []
    assert len(operations) > 90
    for operation in operations:
        try:
            check(hub, operation, parts, user, examples)
        except BaseExceptionGroup as group:
            faults += [f"{operation.label}: {error}" for error in group.exceptions]
        except AssertionError as error:
            faults.append(f"{operation.label}: {error}")
    assert not faults, "\n\n".join(faults)


def check(
    hub: LocalHub, operation: Operation, parts: dict[str, list[str]], user: str, examples: int
) -> None:
    """Send requests to one address."""

    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(operation.as_strategy(), st.data())
    def call(case: Case, data: st.DataObject) -> None:
        for name in sorted(case.path_parameters.keys() & parts):
            first = parts[name][0]
            value = data.draw(st.sampled_from([first, *parts[name], None]))
            case.path_parameters[name] = case.path_parameters[name] if value is None else value
        case.headers.pop("Authorization", None)
        if user:
            case.headers["Authorization"] = f"Bearer {hub.tokens[user]}"
        # What a part may be is more than its type, and a token may be an offer, not a demand:
        # that a description can't say.
        case.call_and_validate(excluded_checks=[positive_data_acceptance, ignored_auth])

    call()
