"""The server's OpenAPI description is what the server does, whatever a client sends.

The addresses are those of the description, so that one that is added is tested at once. Each gets
arbitrary values for its parts, and such that lead further: names that exist, ranges, tokens.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from bootstrap_server.settings import Settings
from bootstrap_server.web.app import create_app
from tests.helpers.needs import need_tool

pytestmark = pytest.mark.timeout(900)  # the first template on a machine fetches packages
Case = schemathesis.Case[Any]
URL = "http://boot.example"
EXAMPLES = 600  # over all addresses
PARTS = {
    "run_mode": ["dev", "qa", "release"],
    "farm": ["1", "4294967295", "4294967296", "01", "-1"],
    "extra": ["zos-debug", "console=ttyS0", "init=/bin/sh", "a\nb", "x" * 2000],
    "name": ["vmlinuz", "initramfs.zst", "manifest.json", "..", "timestamp.json"],
}
HEADERS = {
    "Range": [
        "bytes=0-0",
        "bytes=-1",
        "bytes=9999999999-",
        "bytes=5-2",
        "lines=1",
        "bytes=0-1,3-4",
    ],
    "If-None-Match": ["*", '"x"', "W/", "\x7f"],
    "If-Range": ['"x"', "Thu, 01 Jan 1970 00:00:00 GMT"],
    "Accept": ["text/html", "*/*;q=2", ""],
    "Authorization": ["Bearer wrong", "Bearer", "Basic eDp5", ""],
    "X-Forwarded-For": ["::", "256.0.0.1, x"],
}


@pytest.fixture(scope="module")
def description(tmp_path_factory: pytest.TempPathFactory) -> schemathesis.BaseSchema:
    """Return the description of a server with one release."""
    need_tool("apt-get")
    channel = tmp_path_factory.mktemp("server") / "dev"
    channel.mkdir()
    (channel / "vmlinuz").write_bytes(b"kernel" * 100)
    (channel / "initramfs.zst").write_bytes(b"archive" * 100)
    app = create_app(Settings(URL, URL, channel.parent))
    app.state.server.templates.get()
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def list_operations(
    description: schemathesis.BaseSchema,
) -> list[schemathesis.APIOperation[Any, Any, Any, Any]]:
    """Return the described operations but streams, which have no end; none may be malformed."""
    found = []
    for result in description.get_all_operations():
        assert isinstance(result, Ok), result
        found.append(result.ok())
    return [operation for operation in found if not operation.path.endswith("/events")]


def lead_further(case: Case, data: st.DataObject) -> None:
    """Replace most parts of an address by known ones, often the first, and add headers."""
    for name in sorted(case.path_parameters.keys() & PARTS):
        choice = data.draw(st.integers(0, len(PARTS[name]) * 2))
        if choice:
            case.path_parameters[name] = (PARTS[name] + PARTS[name][:1] * len(PARTS[name]))[
                choice - 1
            ]
    for name, values in HEADERS.items():
        if data.draw(st.integers(0, 2)) == 0:
            case.headers[name] = data.draw(st.sampled_from(values))


def test_every_answer_is_described(description: schemathesis.BaseSchema) -> None:
    checked = []
    operations = list_operations(description)
    for operation in operations:

        @settings(
            max_examples=EXAMPLES // len(operations),
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(operation.as_strategy(), st.data())
        def check(case: Case, data: st.DataObject) -> None:
            lead_further(case, data)
            # What a part may be is more than its type, and a token may be an offer, not a demand:
            # that a description can't say.
            case.call_and_validate(excluded_checks=[positive_data_acceptance, ignored_auth])

        check()
        checked.append(operation.label)
    assert "GET /kernel/{run_mode}/{name}" in checked


def test_no_address_is_described_twice(description: schemathesis.BaseSchema) -> None:
    names = [row.definition.raw["operationId"] for row in list_operations(description)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("header", ["Bearer wrong", "Bearer ", "Basic eDp5", None])
def test_a_token_that_is_none_opens_nothing(
    description: schemathesis.BaseSchema, header: str | None
) -> None:
    for operation in list_operations(description):
        if "security" not in operation.definition.raw:
            continue
        parts = {name: values[0] for name, values in PARTS.items()}
        names = [row.name for row in operation.path_parameters]
        case = operation.Case(path_parameters={name: parts.get(name, "x") for name in names})
        case.headers.update({"Authorization": header} if header else {})
        answer = case.call()
        is_offer = operation.method.upper() == "GET" and header != "Bearer wrong"
        assert answer.status_code == 401 or (is_offer and answer.status_code < 400), operation.label
