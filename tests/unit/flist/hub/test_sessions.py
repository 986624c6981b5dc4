"""Signing in over HTTP, the cookie of the pages, and accounts over HTTP."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from flist.hub.state.viewer import SCOPES
from flist.server.signin import signed_message
from tests.helpers.asgi import Answer, send_body
from tests.helpers.flist.hub import LocalHub, make_hub

FORM = "application/x-www-form-urlencoded"
RIGHT = b"username=alice&password=alice-password"
OWN = {"sec-fetch-site": "same-origin"}


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub")


def sign_in(hub: LocalHub, **asked: Any) -> Answer:
    """Sign in as alice."""
    return hub.send("POST", "/api/v1/signin", {"username": "alice", **asked})


def post(hub: LocalHub, path: str, body: bytes, **headers: str) -> Answer:
    """Send a form; `_` in a header's name stands for `-`."""
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return send_body(hub.app, "POST", path, body, {"content-type": FORM, **named})


def own(hub: LocalHub, token: str) -> dict[str, Any]:
    """Return who the hub says that a token is of."""
    head = {"authorization": f"Bearer {token}"}
    answer = send_body(hub.app, "GET", "/api/v1/account", b"", head)
    return {"status": answer.status, **json.loads(answer.body)}


def test_a_sign_in_can_ask_for_scopes_and_time(hub: LocalHub) -> None:
    text = json.loads(sign_in(hub, password="alice-password").body)["access_token"]
    assert own(hub, text)["scopes"] == ["publish", "read", "upload"]
    answer = sign_in(hub, password="alice-password", scopes=["read"], days=7, repository="tf")
    found = own(hub, json.loads(answer.body)["access_token"])
    assert (found["scopes"], found["repository"]) == (["read"], "tf")
    kept = hub.hub.tokens.list(hub.hub.accounts.find("alice"))[-1]
    assert kept.expires_s is not None
    assert round((kept.expires_s - kept.created_s) / 86400) == 7


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({}, 422), ({"password": None}, 422), ({"nonce": "00"}, 422), ({"password": "x"}, 401),
        ({"password": "alice-password", "scopes": ["all"]}, 422),
        ({"password": "alice-password", "days": -1}, 422),
        ({"password": "alice-password", "days": 1e9}, 422),
        ({"password": "x" * 2000}, 422), ({"username": "x" * 200, "password": "x"}, 422),
        ({"password": "alice-password", "more": "of an older client"}, 201),
    ],
)  # fmt: skip
def test_odd_sign_ins(hub: LocalHub, asked: dict[str, Any], status: int) -> None:
    assert sign_in(hub, **asked).status == status


def test_signing_out_ends_the_session(hub: LocalHub) -> None:
    text = json.loads(sign_in(hub, password="alice-password").body)["access_token"]
    head = {"authorization": f"Bearer {text}"}
    assert send_body(hub.app, "POST", "/api/v1/signout", b"", head).status == 204
    assert own(hub, text)["status"] == 401
    assert send_body(hub.app, "POST", "/api/v1/signout", b"", head).status == 401
    assert send_body(hub.app, "POST", "/api/v1/signout", b"", {}).status == 204


@pytest.mark.parametrize("public_url", ["", "https://hub.example:8443"])
def test_a_key_signs_in_once_and_for_this_hub(tmp_path: Path, public_url: str) -> None:
    hub = make_hub(tmp_path / "hub", public_url=public_url)
    host = "hub.example:8443" if public_url else "evil.example"  # the tests' Host header
    key = Ed25519PrivateKey.generate()
    hub.hub.accounts.set_key("alice", key.public_key().public_bytes_raw().hex())
    answer = hub.send("POST", "/api/v1/challenge", {"username": "alice"})
    asked = json.loads(answer.body)
    assert (answer.status, asked["host"], asked["expires_in"]) == (201, host, 60)
    signature = key.sign(signed_message(host, "alice", asked["nonce"])).hex()
    proof = {"nonce": asked["nonce"], "signature": signature}
    first = sign_in(hub, **proof)
    assert first.status == 201
    assert own(hub, json.loads(first.body)["access_token"])["name"] == "alice"
    assert sign_in(hub, **proof).status == 401
    unknown = hub.send("POST", "/api/v1/challenge", {"username": "nobody"})
    assert (unknown.status, json.loads(unknown.body).keys()) == (201, asked.keys())


def test_challenges_of_one_address_are_limited(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub", sign_in_per_minute=1, sign_in_burst=2)
    asked = {"username": "alice"}
    found = [hub.send("POST", "/api/v1/challenge", asked).status for _ in range(3)]
    assert found == [201, 201, 429]


def log_in(hub: LocalHub, place: str = "", **headers: str) -> Answer:
    """Send the form of the pages; `place` is where it shall lead to."""
    more = f"&next={quote(place, safe='')}" if place else ""
    return post(hub, "/login", RIGHT + more.encode(), **headers)


def cookie_of(answer: Answer) -> str:
    """Return the cookie that an answer sets, as a browser sends it."""
    return answer.headers["set-cookie"].partition(";")[0]


def test_the_form_begins_a_session_of_the_pages(hub: LocalHub) -> None:
    answer = log_in(hub, "/secret/tree.md")
    assert (answer.status, answer.headers["location"]) == (303, "/secret/tree.md")
    words = answer.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=lax", "Path=/", "Max-Age=604800"} <= set(words)
    assert words[0].startswith("zos_session=zos_")
    headers = {"cookie": cookie_of(answer)}
    found = send_body(hub.app, "GET", "/api/v1/account", b"", headers)
    assert json.loads(found.body)["scopes"] == sorted(SCOPES)
    done = send_body(hub.app, "DELETE", "/alice/x.fl", b"", {**headers, **OWN})
    assert done.status == 404, "the hub's own pages may; there is no such flist"
    out = post(hub, "/logout", b"", **headers, **OWN)
    assert (out.status, out.headers["location"]) == (303, "/")
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert send_body(hub.app, "GET", "/api/v1/account", b"", headers).status == 401
    assert send_body(hub.app, "GET", "/api/v1/repositories", b"", headers).status == 200


@pytest.mark.parametrize(
    "place",
    ["//evil.example", "/\\evil.example", "https://evil.example", "\\evil", "/a\nb", "/%09/x\t",
     "javascript:alert(1)", ""],
)  # fmt: skip
def test_the_form_leads_to_no_other_site(hub: LocalHub, place: str) -> None:
    answer = log_in(hub, place)
    assert answer.headers["location"] == "/"


def test_over_tls_the_cookie_is_for_this_host_alone(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub", public_url="https://hub.example")
    words = log_in(hub).headers["set-cookie"].split("; ")
    assert words[0].startswith("__Host-zos_session=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(words)
    assert not any(word.startswith("Domain") for word in words)
    plain = cookie_of(log_in(hub)).replace("__Host-", "")
    assert send_body(hub.app, "GET", "/api/v1/account", b"", {"cookie": plain}).status == 401


@pytest.mark.parametrize(
    "headers",
    [{"sec_fetch_site": "cross-site"}, {"origin": "https://other.example"}, {"origin": "null"}],
)
def test_another_site_signs_no_browser_in_or_out(hub: LocalHub, headers: dict[str, str]) -> None:
    assert post(hub, "/login", RIGHT, **headers).status == 403
    cookie = cookie_of(log_in(hub))
    assert post(hub, "/logout", b"", cookie=cookie, **headers).status == 403
    head = {"cookie": cookie}
    assert send_body(hub.app, "GET", "/api/v1/account", b"", head).status == 200


@pytest.mark.parametrize("headers", [OWN, {"origin": "http://evil.example"}])
def test_the_hubs_own_pages_may(hub: LocalHub, headers: dict[str, str]) -> None:
    """The tests' Host header is evil.example."""
    own = {key.replace("-", "_"): value for key, value in headers.items()}
    cookie = cookie_of(post(hub, "/login", RIGHT, **own))
    body = json.dumps({"name": "ci", "scopes": ["read"]}).encode()
    head = {"cookie": cookie, "content-type": "application/json", **headers}
    assert send_body(hub.app, "POST", "/api/v1/tokens", body, head).status == 201


@pytest.mark.parametrize("body", [b"", b"username=alice", b"\xff\xfe", b"x" * 20000, b"a=1&" * 50])
def test_odd_forms(hub: LocalHub, body: bytes) -> None:
    assert post(hub, "/login", body).status in (413, 422)


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "x", "bearer  zos_1_2"])
def test_a_header_that_is_no_token_is_refused(hub: LocalHub, header: str) -> None:
    answer = send_body(hub.app, "GET", "/api/flist", b"", {"authorization": header})
    assert answer.status == 401


def test_a_new_password_needs_the_present_one(hub: LocalHub) -> None:
    text = hub.hub.tokens.create(hub.hub.accounts.find("alice"), "all", SCOPES)
    hub.tokens["alice"] = text
    path, new = "/api/v1/accounts/alice", {"password": "another password"}
    assert hub.send("PATCH", path, new, user="alice").status == 401
    wrong = {**new, "current_password": "wrong"}
    assert hub.send("PATCH", path, wrong, user="alice").status == 401
    right = {**new, "current_password": "alice-password"}
    assert hub.send("PATCH", path, right, user="alice").status == 200
    assert sign_in(hub, password="another password").status == 201
    assert sign_in(hub, password="alice-password").status == 401
    operators = hub.send("PATCH", path, {"password": "a third one"}, user="operator")
    assert operators.status == 200
    assert hub.send("PATCH", path, {"password": None}, user="operator").status == 422


def test_accounts_over_http(hub: LocalHub) -> None:
    send = hub.send
    made = send("POST", "/api/v1/accounts", {"name": "dave", "password": "dave-password"},
                user="operator")  # fmt: skip
    assert (made.status, json.loads(made.body)["name"]) == (201, "dave")
    assert "password" not in {key for key, value in json.loads(made.body).items()
                              if value == "dave-password"}  # fmt: skip
    again = send("POST", "/api/v1/accounts", {"name": "dave"}, user="operator")
    assert again.status == 409
    odd = send("POST", "/api/v1/accounts", {"name": "eve", "unknown": 1}, user="operator")
    assert odd.status == 422
    asked = {"name": "ci", "scopes": ["read"], "account": "dave", "days": 1}
    token = json.loads(send("POST", "/api/v1/tokens", asked, user="operator").body)
    hub.tokens["dave"] = token["token"]
    assert hub.get("/api/v1/account", user="dave")["name"] == "dave"
    (listed,) = hub.get("/api/v1/tokens?account=dave", user="operator")
    assert (listed["id"], listed["state"], listed["scopes"]) == (token["id"], "valid", ["read"])
    assert send("DELETE", f"/api/v1/tokens/{token['id']}", user="operator").status == 204
    assert send("GET", "/api/v1/account", user="dave").status == 401
    assert send("DELETE", "/api/v1/accounts/dave", user="operator").status == 204
    assert send("GET", "/api/v1/accounts/dave", user="operator").status == 404
    lines = hub.get("/api/v1/audit?subject=dave", user="operator")
    assert [line["action"] for line in lines] == [
        "account.delete", "token.revoke", "token.create", "account.create",
    ]  # fmt: skip
    assert hub.get(f"/api/v1/audit?subject=dave&before={lines[-1]['id']}", user="operator") == []
    assert len(hub.get("/api/v1/audit?action=token", user="operator")) == 2


def test_repositories_over_http(hub: LocalHub) -> None:
    made = hub.send("POST", "/api/v1/repositories", {"name": "tf", "is_private": True},
                    user="alice")  # fmt: skip
    assert (made.status, json.loads(made.body)["owner"]) == (201, "alice")
    assert hub.send("GET", "/api/v1/repositories/tf", user="bob").status == 404
    assert hub.send("PATCH", "/api/v1/repositories/tf", {"is_private": False},
                    user="alice").status == 403, "it takes the scope admin"  # fmt: skip
    change = {"is_private": False, "owner": "bob", "keep_versions": 3}
    assert hub.send("PATCH", "/api/v1/repositories/tf", change, user="operator").status == 200
    found = hub.get("/api/v1/repositories/tf")
    assert (found["owner"], found["is_private"], found["keep_versions"]) == ("bob", False, 3)
