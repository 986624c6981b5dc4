"""What the description says of all addresses holds, whatever a client sends."""

import json
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.helpers.registry.site import Node, Site, make_site

pytestmark = pytest.mark.timeout(900)
Case = schemathesis.Case[Any]
Operation = schemathesis.APIOperation[Any, Any, Any, Any]
EXAMPLES = 40  # requests for each address


@pytest.fixture(name="site", scope="module")
def make() -> Site:
    """Return a registry with a farm and a node."""
    site = make_site()
    site.add_farm()
    site.add_node(seed=3)
    return site


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


def list_operations(site: Site) -> list[Operation]:
    """Return the described operations; none may be malformed."""
    found = []
    description = schemathesis.openapi.from_asgi("/api/openapi.json", without_lifespan(site.app))
    for result in description.get_all_operations():
        assert isinstance(result, Ok), result
        found.append(result.ok())
    return found


def known_parts(site: Site) -> dict[str, list[Any]]:
    """Return values of parts of addresses that lead further."""
    odd = ["..", "a/b", "\0", "x" * 256, "a\r\nb", "ä"]
    node = site.make_node(seed=3).id
    return {
        "node": [node, *odd], "number": [1, 0, 2**32, "x"], "month": ["2026-10", "2026-13", *odd],
    }  # fmt: skip


def lead_further(case: Case, site: Site, data: st.DataObject) -> None:
    """Replace most parts of an address by known ones, and some bodies by good messages."""
    parts = known_parts(site)
    for name in sorted(case.path_parameters.keys() & parts.keys()):
        if data.draw(st.integers(0, 4)):
            values = parts[name]
            case.path_parameters[name] = data.draw(st.sampled_from(values + values[:1] * 5))
    if case.method == "POST" and data.draw(st.booleans()):
        node: Node = site.make_node(seed=3)
        messages = {
            "/api/v1/farms": site.farmer.message("one", farm=1, sequence=2),
            "/api/v1/nodes/{node}/reports": node.seal("report", node.payload()),
        }
        if case.path in messages:
            case.body = json.loads(messages[case.path])


def test_every_answer_is_described(site: Site) -> None:
    operations, faults = list_operations(site), []
    assert len(operations) >= 11
    for operation in operations:

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(), st.data())
        def check(case: Case, data: st.DataObject) -> None:
            lead_further(case, site, data)
            # What a part may be is more than its type, and a token may be an offer, not a demand.
            case.call_and_validate(excluded_checks=[positive_data_acceptance, ignored_auth])

        try:
            check()
        except Exception as error:
            faults.append(f"{operation.label}: {error!r:.2000}")
    assert faults == []
    site.check()


def test_no_address_is_described_twice(site: Site) -> None:
    names = [row.definition.raw["operationId"] for row in list_operations(site)]
    assert len(set(names)) == len(names)
