"""Every address of the hub, tried by everybody who should not get at what is behind it.

The addresses come from the application. A new one fails until it has a row in one of the tables of
`tests/helpers/flist/addresses.py`.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from flist.hub.web.zerohub import router as zerohub
from tests.helpers.asgi import Answer
from tests.helpers.flist.addresses import (
    CHANGES,
    JSON,
    LISTS,
    NO_DIGEST,
    OIDC,
    OPEN,
    READS,
    REFUSED,
    Row,
    is_missing,
)
from tests.helpers.flist.world import NO_ONE, World, make_world


@pytest.fixture(name="made", scope="module")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Make the hub that requests are refused by; nothing changes it."""
    return make_world(tmp_path_factory.mktemp("made") / "hub", **OIDC)


@pytest.fixture(name="copy")
def copy_world(made: World, tmp_path: Path) -> Iterator[World]:
    """Give a copy of the hub, which may be changed."""
    from flist.hub.app import create_hub_app
    from flist.hub.library.hub import open_hub
    from tests.helpers.flist.hub import LocalHub

    root = tmp_path / "hub"
    shutil.copytree(made.local.root, root)
    hub = open_hub(made.local.hub.settings.model_copy(update={"root": root}))
    local = LocalHub(create_hub_app(hub), hub, root, made.local.tokens)
    yield World(local, made.flist, made.names, made.credentials)
    hub.close()


def all_routes(app: FastAPI) -> set[str]:
    """Return every method and address of the application; HEAD is like GET."""
    found = set()
    for route in iter_route_contexts(app.routes):
        methods = set(getattr(route, "methods", None) or ())
        assert methods, f"a route without methods: {route}"
        found |= {f"{method} {route.path}" for method in methods - {"HEAD"}}
    return found


def test_every_address_is_in_a_table(made: World) -> None:
    known = OPEN | LISTS | READS.keys() | CHANGES.keys()
    theirs = FastAPI()  # those of 0-hub are in web/zerohub/test_rights.py
    theirs.include_router(zerohub.make_router(made.local.hub))
    found = all_routes(made.local.app) - (all_routes(theirs) - known)
    assert found - known == set(), "who may use these? Add them to OPEN, LISTS, READS or CHANGES"
    assert known - found == set(), "these are not there any more"


def send(world: World, route: str, row: Row, token: str, **more: str) -> Answer:
    """Send the request of a row."""
    body, kind = row.body, ""
    if body == b"flist":
        body = world.flist
    elif isinstance(body, dict | list):
        text = json.dumps(body)
        for name, value in world.names.items():
            text = text.replace(f"{{{name}}}", value)
        body, kind = text.encode(), JSON
    elif isinstance(body, str):
        body = body.format(**world.names).encode()
    kind = row.kind or kind
    target = row.target.format(**world.names)
    return world.send(route.partition(" ")[0], target, token, body or b"", kind, more)


def wrong_tokens(world: World, row: Row) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """Yield who tries, with which token, and which answers are right."""
    for who in NO_ONE:
        yield who, world.credentials[who], (401,)
    if row.scope:  # a form shows what its user may do
        small = f"{row.user} without {row.scope}"
        yield small, world.credentials[small], (403,)
    if not row.is_own:
        yield "another user", world.credentials["another user"], REFUSED
    if not row.is_for_one:
        yield "another repository", world.credentials["another repository"], REFUSED


@pytest.mark.parametrize("route", CHANGES)
def test_a_request_without_the_right_token_changes_nothing(made: World, route: str) -> None:
    row = CHANGES[route]
    before = made.state()
    for who, token, statuses in wrong_tokens(made, row):
        answer = send(made, route, row, token)
        if row.is_page and answer.status == 303:
            assert who == "nobody"
            assert answer.headers["location"].startswith("/login?next="), answer.headers
            continue
        assert answer.status in statuses, f"{route} by {who}: {answer.status} {answer.text[:200]}"
        if answer.status == 401:
            assert answer.headers["www-authenticate"].startswith("Bearer")
        assert made.state() == before, f"{route} by {who} changed something"


@pytest.mark.parametrize("route", [name for name in CHANGES if not name.startswith("GET")])
def test_a_cookie_counts_on_the_hubs_own_pages_only(made: World, route: str) -> None:
    """A page of another site could send the same request from a user's browser."""
    row, before = CHANGES[route], made.state()
    cookie = f"zos_session={made.names['session']}"
    for headers in (
        {}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"}, {"origin": "https://evil.example:1"}, {"origin": "null"},
    ):  # fmt: skip
        answer = send(made, route, row, "", cookie=cookie, **headers)
        assert answer.status == 403, (route, headers, answer.status, answer.text[:200])
        assert made.state() == before


@pytest.mark.parametrize("route", CHANGES)
def test_the_same_request_with_the_right_token_is_done(copy: World, route: str) -> None:
    row = CHANGES[route]
    answer = send(copy, route, row, copy.local.tokens[row.user])
    if not row.is_tried:
        assert answer.status not in (401, 403, 404, 500), answer.text[:200]
        return
    assert answer.status in (200, 201, 202, 204, 303), (
        f"{route}: {answer.status} {answer.text[:200]}"
    )


def private_words(world: World) -> list[str]:
    """Return what nobody else may be told."""
    return ["secret", world.names["secret_digest"], world.names["secret_block"]]


@pytest.mark.parametrize("route", LISTS)
def test_lists_leave_out_what_one_may_not_read(made: World, route: str) -> None:
    target = route.partition(" ")[2]
    target += "?search=tree" if target == "/search" else ""
    for who in ("nobody", "another user", "another repository"):
        answer = made.send("GET", target, made.credentials[who])
        assert answer.status == 200
        for word in private_words(made):
            assert word not in answer.text, f"{target} tells {who} of {word}"
    for who in NO_ONE[1:]:
        assert made.send("GET", target, made.credentials[who]).status == 401, f"{target} by {who}"
    own = made.send("GET", target, made.local.tokens["alice"]).text
    assert any(word in own for word in private_words(made))


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("route", [route for route, pair in READS.items() if pair[0]])
def test_what_one_may_not_read_looks_as_if_it_did_not_exist(
    made: World, route: str, method: str
) -> None:
    target, absent = (place.format(**made.names) for place in READS[route])
    for who in ("nobody", "another user", "another repository", "alice without read"):
        token = made.credentials[who]
        answers = [shape(made, made.send(method, place, token)) for place in (target, absent)]
        assert answers[0] == answers[1], f"{target} tells {who} that there is something"
        assert answers[0][0] in (400, 404, 405) or is_way_to_sign_in(answers[0][1], who), who
    is_for_all = "/website/" in target  # they have what is open only, whoever asks
    for who in () if is_for_all else NO_ONE[1:]:
        status = made.send(method, target, made.credentials[who]).status
        assert status in (401, 405), f"{target} by {who}: {status}"


def is_way_to_sign_in(headers: dict[str, str], who: str) -> bool:
    """Return whether nobody is asked to sign in, as pages do."""
    return who == "nobody" and headers.get("location", "").startswith("/login?next=")


def shape(world: World, answer: Answer) -> tuple[int, dict[str, str], str]:
    """Return an answer without what differs between two requests of the same kind."""
    headers = {key: value for key, value in answer.headers.items() if key != "x-request-id"}
    del headers["content-length"]
    both = json.dumps([headers, answer.text])
    for word in (*private_words(world), world.names["job"], NO_DIGEST, "absent"):
        both = both.replace(word, "NAME")
    return answer.status, *json.loads(both)


@pytest.mark.parametrize(
    "route", [route for route, pair in READS.items() if pair[0] and not is_missing(pair[0])]
)
def test_the_team_may_read_it(copy: World, route: str) -> None:
    target = READS[route][0].format(**copy.names)
    answer = copy.send("GET", target, copy.local.tokens["alice"])
    assert answer.status == 200, answer.text[:200]
    said = answer.headers["cache-control"]
    assert "private" in said or said == "no-store", "a shared cache would keep it"


def test_open_addresses_tell_nothing_private(made: World) -> None:
    for route in sorted(OPEN):
        method, target = route.split()
        for who in ("nobody", "another user"):
            answer = made.send(method, target, made.credentials[who])
            is_description = target == "/api/openapi.json"  # a webhook's secret is a word in it
            for word in private_words(made)[1 if is_description else 0 :]:
                assert word not in answer.text, f"{route} tells of {word}"
