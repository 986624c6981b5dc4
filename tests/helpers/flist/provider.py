"""A small OpenID Connect provider over HTTP, which can be told to misbehave."""

import base64
import contextlib
import hashlib
import http.server
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.helpers.flist.servers import serve_handler

CLIENT, SECRET = "the hub", "a secret: of it%"
Change = Callable[[dict[str, Any]], dict[str, Any]]


def same(value: dict[str, Any]) -> dict[str, Any]:
    """Change nothing."""
    return value


@dataclass
class Provider:
    """What the provider says; the changes make it say something else."""

    issuer: str = ""
    user: dict[str, Any] = field(
        default_factory=lambda: {"sub": "17", "preferred_username": "dora"}
    )
    key: RSAKey = field(default_factory=lambda: make_key("one"))
    published: list[RSAKey] = field(default_factory=list)
    claims: Change = same
    metadata: Change = same
    answer: Change = same
    sign: Callable[[dict[str, Any], RSAKey], str] | None = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    is_down: bool = False

    def discover(self) -> dict[str, Any]:
        """Return the discovery document."""
        return self.metadata(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.issuer}/authorize",
                "token_endpoint": f"{self.issuer}/token",
                "jwks_uri": f"{self.issuer}/keys",
            }
        )

    def keys(self) -> dict[str, Any]:
        """Return the public keys."""
        return dict(KeySet([*self.published, self.key]).as_dict(private=False))

    def authorize(self, query: dict[str, str]) -> str:
        """Return where the browser is sent back to, with a code."""
        assert query["client_id"] == CLIENT
        assert query["response_type"] == "code"
        assert "openid" in query["scope"].split()
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.codes[code] = query
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def exchange(self, form: dict[str, str], authorization: str) -> dict[str, Any]:
        """Return the tokens for a code, once, and to whom holds the verifier and the secret."""
        begun = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        is_known = authorization == f"Basic {basic}"
        if begun is None or begun["code_challenge"] != challenge or not is_known:
            return {"error": "invalid_grant", "error_description": "no such code"}
        assert begun["redirect_uri"] == form["redirect_uri"]
        now_s = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now_s, "exp": now_s + 300,
                  "nonce": begun["nonce"], **self.user}  # fmt: skip
        token = (self.sign or sign)(self.claims(claims), self.key)
        return self.answer({"access_token": "x", "token_type": "Bearer", "id_token": token})


def make_key(name: str) -> RSAKey:
    """Return a key pair."""
    return RSAKey.generate_key(2048, {"kid": name, "use": "sig", "alg": "RS256"})


def sign(claims: dict[str, Any], key: RSAKey) -> str:
    """Return an ID token."""
    return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


def single(text: str) -> dict[str, str]:
    """Return the values of a query or a form."""
    return {key: values[0] for key, values in parse_qs(text).items()}


@contextlib.contextmanager
def serve_provider() -> Iterator[Provider]:
    """Run a provider for the `with` block."""
    provider = Provider()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            place = urlsplit(self.path)
            provider.asked.append(place.path)
            if provider.is_down:
                self.reply(b"no", 503)
            elif place.path == "/.well-known/openid-configuration":
                self.reply(json.dumps(provider.discover()).encode())
            elif place.path == "/keys":
                self.reply(json.dumps(provider.keys()).encode())
            elif place.path == "/authorize":
                self.send_response(302)
                self.send_header("Location", provider.authorize(single(place.query)))
                self.end_headers()
            else:
                self.reply(b"", 404)

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            form = single(self.rfile.read(length).decode())
            answer = provider.exchange(form, self.headers.get("Authorization", ""))
            self.reply(json.dumps(answer).encode(), 400 if "error" in answer else 200)

        def reply(self, body: bytes, status: int = 200) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body)

    with serve_handler(Handler) as port:
        provider.issuer = f"http://127.0.0.1:{port}"
        yield provider
