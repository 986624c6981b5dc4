"""0-hub's addresses, tried by everybody who should not get at what is behind them."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path

from flist.hub.state.viewer import PUBLISH, READ
from flist.hub.web.zerohub import router as zerohub
from tests.helpers.asgi import Answer
from tests.helpers.flist.hub import make_hub
from tests.helpers.flist.world import NO_ONE, World, make_world
from tests.helpers.flist.zerohub import FORM, ME, encode_form, make_tar, member

TREE = make_tar([(member("a"), b"1")])
SENT = encode_form({"image": "busybox"}, "new.tar.gz", TREE)
CHANGES = {
    f"GET {ME}/tree/link/x": b"",
    f"PUT {ME}/tree/link/x": b"",
    f"GET {ME}/x/crosslink/shown/tree": b"",
    f"PUT {ME}/x/crosslink/shown/tree": b"",
    f"GET {ME}/x/crosstag/alice/v1": b"",
    f"PUT {ME}/x/crosstag/alice/v1": b"",
    f"GET {ME}/v2/x/tag/shown/tree": b"",
    f"PUT {ME}/v2/x/tag/shown/tree": b"",
    f"DELETE {ME}/v1/tree/tag/shown/tree": b"",
    f"GET {ME}/tree/rename/x": b"",
    f"PUT {ME}/tree/rename/x": b"",
    f"GET {ME}/promote/shown/tree/x": b"",
    f"PUT {ME}/promote/shown/tree/x": b"",
    f"DELETE {ME}/tree": b"",
    f"POST {ME}/upload": SENT,
    f"POST {ME}/upload-flist": encode_form({}, "new.fl", b"flist"),
    f"POST {ME}/merge/x": b'["shown/tree"]',
    f"POST {ME}/docker": SENT,
}
READS = {f"GET {ME}": b"", f"GET {ME}/tree": b""}
SECRETS = (
    "/api/flist/secret", "/api/flist/secret/", "/api/flist/secret/tags/v1",
    "/api/flist/secret/tree", "/api/flist/secret/tree/light", "/api/flist/secret/tree/metadata",
    "/api/flist/secret/tree/taglink", "/secret/tree.fl.md5", "/secret/tree.flist",
    "/secret/tree.flist.md5", "/secret/tree.txt", "/secret/tree.json",
    "/secret/tags/v1/tree.fl", "/secret/tags/v1/tree.flist",
)  # fmt: skip
LISTS = ("/api/repositories", "/api/flist", "/api/fileslist", "/search?search=tree")


OPEN = (
    "/login-method", "/login-iyo", "/token", "/logout", "/readonly", "/upload", "/upload-flist",
    "/merge", "/docker-convert", "/api/repositories/", "/api/flist/", "/api/fileslist/",
    "/search", "/listen/x",
)  # fmt: skip
"""Forms and texts, the lists once more, and what only its own user finds."""


@pytest.fixture(name="made", scope="module")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Make a hub on which alice has a flist and a tag of her own."""
    world = make_world(tmp_path_factory.mktemp("made") / "hub")
    token = world.local.tokens["alice"]
    for path in ("promote/shown/tree/tree", "v1/tree/tag/shown/tree"):
        assert world.send("PUT", f"{ME}/{path}", token).status == 200
    yield world
    world.local.hub.close()


def test_every_address_is_in_a_table(made: World) -> None:
    tried = [*CHANGES, *READS, *(f"POST {path}" for path in OPEN)]
    for path in (*SECRETS, *LISTS, *OPEN):
        tried += [f"{method} {path.partition('?')[0]}" for method in ("GET", "INFO")]
    for route in iter_route_contexts(zerohub.make_router(made.local.hub).routes):
        form = compile_path(str(route.path))[0]
        for method in set(getattr(route, "methods", None) or ()) - {"HEAD"}:
            of_method = [line.split()[1] for line in tried if line.startswith(f"{method} ")]
            assert any(form.match(path) for path in of_method), (method, route.path)


def send(world: World, request: str, body: bytes, token: str, **more: str) -> Answer:
    """Send a request with a body, if there is one a form or JSON."""
    method, path = request.split()
    kind = FORM if body.startswith(b"--") else "application/json" if body else ""
    return world.send(method, path, token, body, kind, more)


@pytest.mark.parametrize("request_line", [*CHANGES, *READS])
def test_a_request_without_the_right_token_changes_nothing(made: World, request_line: str) -> None:
    body = {**CHANGES, **READS}[request_line]
    before = made.state()
    small = f"alice without {READ if request_line in READS else PUBLISH}"
    for who in (*NO_ONE, small):
        answer = send(made, request_line, body, made.credentials[who])
        assert answer.status == (403 if who == small else 401), f"{request_line} by {who}"
        assert json.loads(answer.body)["status"] == "error"
        assert made.state() == before, who


@pytest.mark.parametrize("request_line", CHANGES)
def test_a_token_for_another_repository_changes_nothing(made: World, request_line: str) -> None:
    before = made.state()
    body = CHANGES[request_line]
    answer = send(made, request_line, body, made.credentials["another repository"])
    assert answer.status in (403, 422, 503), answer.text
    assert made.state()[0] == before[0]


@pytest.mark.parametrize("request_line", CHANGES)
def test_a_cookie_is_no_token(made: World, request_line: str) -> None:
    """Also a GET changes something here, and a browser sends one wherever a page wants."""
    before = made.state()
    cookie = f"zos_session={made.names['session']}"
    for headers in ({}, {"sec-fetch-site": "same-origin"}):
        answer = send(made, request_line, CHANGES[request_line], "", cookie=cookie, **headers)
        assert answer.status == 401
        assert made.state() == before


@pytest.mark.parametrize("path", ["/upload", "/upload-flist", "/merge", "/docker-convert"])
def test_a_form_is_taken_from_the_hubs_own_pages_only(made: World, path: str) -> None:
    before = made.state()
    cookie = f"zos_session={made.names['session']}"
    for headers in ({}, {"sec-fetch-site": "cross-site"}, {"origin": "https://other.example"}):
        answer = send(made, f"POST {path}", SENT, "", cookie=cookie, **headers)
        assert answer.status == 403
        assert made.state() == before
    answer = send(made, f"POST {path}", SENT, "")
    assert (answer.status, answer.headers["location"]) == (302, "/login-method")


@pytest.mark.parametrize("path", SECRETS)
def test_what_one_may_not_read_looks_as_if_it_did_not_exist(made: World, path: str) -> None:
    absent = path.replace("secret", "absent")
    for who in ("nobody", "another user", "another repository", "alice without read"):
        token = made.credentials[who]
        for method in ("GET", "HEAD", "INFO"):
            there, not_there = (made.send(method, one, token) for one in (path, absent))
            assert there.status in (404, 405)
            assert there.status == not_there.status
            assert there.text.replace("secret", "absent") == not_there.text
    for who in NO_ONE[1:]:
        assert made.send("GET", path, made.credentials[who]).status == 401


@pytest.mark.parametrize("path", LISTS)
def test_lists_leave_out_what_one_may_not_read(made: World, path: str) -> None:
    for who in ("nobody", "another user", "another repository", "alice without read"):
        answer = made.send("GET", path, made.credentials[who])
        assert answer.status == 200
        assert "secret" not in answer.text
    assert "secret" in made.send("GET", path, made.local.tokens["alice"]).text


def test_what_is_private_is_kept_by_no_shared_cache(made: World) -> None:
    token = made.local.tokens["alice"]
    for path in ("/api/flist/secret/tree", "/secret/tags/v1/tree.fl", f"{ME}/tree"):
        answer = made.send("GET", path, token)
        if answer.status == 200:
            assert "private" in answer.headers["cache-control"]


def test_a_member_acts_for_a_group_and_others_do_not(made: World) -> None:
    for token, repo in ((made.local.tokens["alice"], "team"), (made.local.tokens["bob"], "bob")):
        answer = made.send("GET", ME, token, more={"cookie": "active-user=team"})
        assert json.loads(answer.body)["payload"] == {"username": repo}


def test_answers_to_all_may_be_read_by_scripts_of_other_sites(made: World) -> None:
    token = made.local.tokens["alice"]
    assert made.send("GET", "/api/flist").headers["access-control-allow-origin"] == "*"
    for path in ("/api/flist", ME):
        assert "access-control-allow-origin" not in made.send("GET", path, token).headers


OPEN_HEADERS = (
    {"host": "127.0.0.1:8081"},
    {"host": "localhost:8081", "sec-fetch-site": "same-origin"},
    {"host": "[::1]:8081", "origin": "http://[::1]:8081"},
)
FOREIGN_HEADERS = (
    {"host": "evil.example"},
    {"host": "127.0.0.1:8081", "sec-fetch-site": "cross-site"},
    {"host": "127.0.0.1:8081", "origin": "https://evil.example"},
    {"host": "localhost.evil.example"},
)


def test_a_hub_that_is_open_to_all_listens_to_this_machine_only(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub", open_to_all=True)
    world = World(hub)
    for headers in OPEN_HEADERS:
        answer = world.send("GET", ME, more=headers)
        assert json.loads(answer.body)["payload"] == {"username": "Administrator"}
        answer = world.send("POST", f"{ME}/upload", "", SENT, FORM, headers)
        assert answer.status == 200, answer.text
    for headers in FOREIGN_HEADERS:
        assert world.send("POST", f"{ME}/upload", "", SENT, FORM, headers).status == 403
        assert world.send("DELETE", f"{ME}/new", more=headers).status == 403
    # A change by GET could come from an image on any page.
    assert world.send("GET", f"{ME}/new/rename/old", more=OPEN_HEADERS[0]).status == 403
    assert world.send("PUT", f"{ME}/new/rename/old", more=OPEN_HEADERS[0]).status == 200
    hub.hub.close()
