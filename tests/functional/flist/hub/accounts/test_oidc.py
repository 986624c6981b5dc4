"""Signing in at an OpenID Connect provider, which is real but for its size."""

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import urllib3
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from tests.helpers.asgi import Answer, send_body
from tests.helpers.flist.hub import LocalHub, make_hub
from tests.helpers.flist.provider import CLIENT, SECRET, Provider, make_key, serve_provider

PUBLIC = "http://hub.example"
KEY = make_key("one")
OTHER = make_key("two")


@dataclass
class Browser:
    """What a user does; it keeps the cookies of the hub."""

    hub: LocalHub
    provider: Provider
    cookies: dict[str, str]

    def get(self, path: str) -> Answer:
        """Ask the hub."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = send_body(self.hub.app, "GET", path, b"", {"cookie": cookie})
        self.cookies |= dict([answer.headers["set-cookie"].partition(";")[0].split("=", 1)]
                             if "set-cookie" in answer.headers else [])  # fmt: skip
        return answer

    def begin(self, place: str = "") -> str:
        """Go to the provider, and sign in there; return where it sends the browser."""
        answer = self.get(f"/login/oidc?next={place}")
        assert answer.status == 303, answer.text
        with urllib3.PoolManager() as pool:
            found = pool.request("GET", answer.headers["location"], redirect=False)
        assert found.headers["Location"].startswith(f"{PUBLIC}/login/oidc/callback?")
        return found.headers["Location"].removeprefix(PUBLIC)

    def sign_in(self, place: str = "") -> Answer:
        """Go there and back."""
        return self.get(self.begin(place))

    def own(self) -> dict[str, Any]:
        """Return who the hub says that the browser's user is."""
        answer = self.get("/api/v1/account")
        assert answer.status == 200, answer.text
        found: dict[str, Any] = json.loads(answer.body)
        return found


@pytest.fixture(name="provider")
def serve() -> Iterator[Provider]:
    with serve_provider() as provider:
        provider.key = KEY
        yield provider


def open_browser(provider: Provider, folder: Path, **settings: Any) -> Browser:
    """Return a browser before a hub that knows the provider."""
    folder.mkdir(exist_ok=True)
    (folder / "secret").write_text(f"{SECRET}\n")
    hub = make_hub(
        folder / "hub", public_url=PUBLIC, oidc_issuer=provider.issuer, oidc_client_id=CLIENT,
        oidc_client_secret=folder / "secret", **{"sign_in_per_minute": 0, **settings},
    )  # fmt: skip
    return Browser(hub, provider, {})


@pytest.fixture(name="browser")
def make_browser(provider: Provider, tmp_path: Path) -> Browser:
    return open_browser(provider, tmp_path)


def test_a_new_user_gets_an_account_and_comes_back_to_it(browser: Browser) -> None:
    answer = browser.sign_in("%2Ftf%2Fx.md")
    assert (answer.status, answer.headers["location"]) == (303, "/tf/x.md")
    own = browser.own()
    assert (own["name"], own["is_admin"]) == ("dora", False)
    account = browser.hub.hub.accounts.find("dora")
    assert (account.subject, account.has_password) == (f"{browser.provider.issuer} 17", False)
    again = Browser(browser.hub, browser.provider, {})
    browser.provider.user["preferred_username"] = "another name"
    assert again.sign_in().headers["location"] == "/"
    assert again.own()["name"] == "dora"
    lines = [f"{line.account} {line.action}" for line in browser.hub.hub.audit.page()]
    assert lines == ["dora session.create"] * 2 + ["dora account.create"]


def test_a_name_that_is_taken_is_not_taken_over(browser: Browser) -> None:
    browser.provider.user["preferred_username"] = "alice"
    browser.sign_in()
    assert browser.own()["name"] == "alice-2"
    assert browser.hub.hub.accounts.find("alice").subject is None


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"preferred_username": "../../etc"}, "etc"), ({"email": "eve@example.org"}, "eve"),
        ({"preferred_username": "Ève Ü"}, "ve"), ({}, "user"),
        ({"preferred_username": "(console)"}, "console"), ({"preferred_username": ["x"]}, "x"),
        ({"preferred_username": "x" * 5000}, "x" * 90),
    ],
)  # fmt: skip
def test_odd_names_become_names_of_accounts(
    browser: Browser, claims: dict[str, Any], name: str
) -> None:
    browser.provider.user = {"sub": "18", **claims}
    browser.sign_in()
    assert browser.own()["name"].strip("'-") == name


def test_an_administrator_links_an_account(provider: Provider, tmp_path: Path) -> None:
    browser = open_browser(provider, tmp_path, oidc_create=False)
    refused = browser.sign_in()
    assert refused.status == 403
    subject = f"{provider.issuer} 17"
    assert subject in refused.text, "the administrator needs it"
    browser.hub.hub.accounts.change("alice", {"subject": subject})
    assert browser.sign_in().status == 303
    assert browser.own()["name"] == "alice"
    browser.hub.hub.accounts.disable("alice")
    assert browser.sign_in().status == 401


def change(**values: object) -> Any:
    """Return what changes claims, or takes them away (None)."""

    def apply(claims: dict[str, Any]) -> dict[str, Any]:
        both = {**claims, **values}
        return {key: value for key, value in both.items() if value is not None}

    return apply


def unsigned(claims: dict[str, Any], _key: RSAKey) -> str:
    """Return a token without a signature."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none"}, claims)]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def confused(claims: dict[str, Any], key: RSAKey) -> str:
    """Return a token whose shared secret is the public key."""
    secret = OctKey.import_key(key.as_pem(private=False))
    return jwt.encode({"alg": "HS256", "kid": key.kid}, claims, secret)


def by_another_key(claims: dict[str, Any], key: RSAKey) -> str:
    """Return a token by a key that only claims to be the provider's."""
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, OTHER)


@pytest.fixture(name="shared", scope="module")
def make_shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Run a hub for the tests in which nobody gets in."""
    with serve_provider() as provider:
        provider.key = KEY
        yield open_browser(provider, tmp_path_factory.mktemp("shared"))


NOW = int(time.time())


@pytest.mark.parametrize(
    "wrong",
    [
        {"claims": change(nonce="another")}, {"claims": change(nonce=None)},
        {"claims": change(aud="another")}, {"claims": change(aud=[CLIENT, "another"])},
        {"claims": change(azp="another")}, {"claims": change(iss="https://evil.example")},
        {"claims": change(exp=NOW - 3600)}, {"claims": change(exp=None)},
        {"claims": change(iat=NOW + 3600)}, {"claims": change(sub=None)},
        {"claims": change(sub=17)}, {"claims": change(sub="")}, {"claims": change(sub="x" * 256)},
        {"claims": change(sub="a\nb")}, {"claims": change(exp="never")},
        {"sign": unsigned}, {"sign": confused}, {"sign": by_another_key},
        {"sign": lambda _claims, _key: "no.token.atall"}, {"sign": lambda _claims, _key: ""},
        {"answer": change(id_token=None)}, {"answer": change(id_token=7)},
        {"answer": lambda _: {"error": "server_error"}},
    ],
)  # fmt: skip
def test_a_token_that_does_not_hold_lets_nobody_in(browser: Browser, wrong: dict[str, Any]) -> None:
    for name, value in wrong.items():
        setattr(browser.provider, name, value)
    answer = browser.sign_in()
    assert answer.status in (401, 502), answer.text
    assert "zos_session" not in browser.cookies
    assert all(account.subject is None for account in browser.hub.hub.accounts.list())


@pytest.mark.parametrize(
    "metadata",
    [
        change(issuer="https://evil.example"), change(token_endpoint=None), lambda _: {},
        change(token_endpoint="http://evil.example/token"), change(jwks_uri="file:///etc/passwd"),
        change(padding="x" * (2 << 20)),
    ],
)  # fmt: skip
def test_a_provider_that_is_another_is_refused(
    shared: Browser, monkeypatch: pytest.MonkeyPatch, metadata: Any
) -> None:
    monkeypatch.setattr(shared.provider, "metadata", metadata)
    shared.hub.app.state.oidc.kept.clear()
    answer = shared.get("/login/oidc")
    shared.hub.app.state.oidc.kept.clear()
    assert answer.status == 502
    assert "location" not in answer.headers


def test_a_provider_that_is_down_is_told(browser: Browser) -> None:
    browser.provider.is_down = True
    assert browser.get("/login/oidc").status == 502
    browser.provider.is_down = False
    assert browser.sign_in().status == 303


def test_new_keys_are_fetched_once_they_are_needed(browser: Browser) -> None:
    browser.sign_in()
    browser.sign_in()
    assert browser.provider.asked.count("/keys") == 1
    assert browser.provider.asked.count("/.well-known/openid-configuration") == 1
    browser.provider.key = OTHER
    assert browser.sign_in().status == 401, "they were fetched less than a minute ago"
    provider = browser.hub.app.state.oidc
    clock = provider.clock
    provider.clock = lambda: clock() + 61
    assert browser.sign_in().status == 303


def test_a_sign_in_ends_in_the_browser_that_began_it(browser: Browser) -> None:
    """Otherwise somebody could make a user use a foreign account."""
    other = Browser(browser.hub, browser.provider, {})
    back = browser.begin()
    assert other.get(back).status == 401, "it has no cookie"
    other.begin()
    assert other.get(back).status == 401, "it has begun another one"
    assert browser.get(back).status == 303
    assert browser.get(back).status == 401, "a code is valid once"


@pytest.mark.parametrize(
    "query", ["", "state=x&code=y", "error=access_denied", "code=%00", "state=", "state=x&state=y"]
)
def test_odd_ways_back(shared: Browser, query: str) -> None:
    browser = Browser(shared.hub, shared.provider, {})
    browser.begin()
    assert browser.get(f"/login/oidc/callback?{query}").status == 401


def test_who_is_refused_at_the_provider_is_told_so(browser: Browser) -> None:
    state = parse_qs(urlsplit(browser.begin()).query)["state"][0]
    said = f"state={state}&error=access_denied&error_description=no%20way"
    answer = browser.get(f"/login/oidc/callback?{said}")
    assert answer.status == 401
    assert "no way" in answer.text


def test_tries_are_limited(provider: Provider, tmp_path: Path) -> None:
    browser = open_browser(provider, tmp_path, sign_in_per_minute=1, sign_in_burst=2)
    assert browser.sign_in().status == 303
    assert browser.get("/login/oidc").status == 429
