"""What the hub's description says of accounts, tokens and sign-ins, whatever a client sends."""

from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from flist.hub.state.viewer import SCOPES
from flist.hub.web import accounts, audit, repositories, sessions
from serving import kit
from tests.helpers.flist.hub import LocalHub, make_hub

Case = schemathesis.Case[Any]
Operation = schemathesis.APIOperation[Any, Any, Any, Any]
EXAMPLES = 25  # for each address
NAMES = ["alice", "bob", "team", "absent", "operator", "a/b", "", "x" * 300]


@pytest.fixture(name="hub", scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> LocalHub:
    """Make a hub whose limits let all requests through."""
    hub = make_hub(tmp_path_factory.mktemp("described") / "hub", sign_in_per_minute=0)
    hub.hub.accounts.create("team", kind="group")
    operator = hub.hub.accounts.find("operator")
    hub.tokens["limited"] = hub.hub.tokens.create(operator, "x", SCOPES, repository="team")
    return hub


def list_operations(local: LocalHub) -> list[Operation]:
    """Return the operations of accounts, of an application that has nothing else."""
    app, hub = FastAPI(), local.hub
    hub.kit = kit.install(app, hub.settings)
    app.state.hub = hub
    for module in (sessions, accounts, repositories, audit):
        app.include_router(module.make_router(hub))
    found = []
    for result in schemathesis.openapi.from_asgi("/openapi.json", app).get_all_operations():
        assert isinstance(result, Ok), result
        found.append(result.ok())
    return [operation for operation in found if operation.path not in ("/health", "/ready")]


def test_every_answer_about_accounts_is_described(hub: LocalHub) -> None:
    operations = list_operations(hub)
    assert len(operations) > 18
    for operation in operations:
        check(hub, operation)


def check(hub: LocalHub, operation: Operation) -> None:
    """Send arbitrary requests to one address."""

    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(data=st.data(), case=operation.as_strategy())
    def call(data: st.DataObject, case: Case) -> None:
        for name in sorted(case.path_parameters):
            if data.draw(st.booleans()):
                case.path_parameters[name] = data.draw(st.sampled_from(NAMES[:5]))
        token = data.draw(st.sampled_from([*hub.tokens.values(), "wrong"]))
        if data.draw(st.integers(0, 4)):
            case.headers["Authorization"] = f"Bearer {token}"
        # Bodies may be right and yet refused: names that are taken, tokens that may not.
        case.call_and_validate(excluded_checks=[ignored_auth, positive_data_acceptance])

    call()
