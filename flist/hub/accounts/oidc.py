"""Signing in at an OpenID Connect provider: authorisation code with PKCE (RFC 7636), by authlib.

The provider's metadata comes from its discovery document and is kept for an hour, as are its keys;
a token by an unknown key makes them be fetched again. Everything that the provider says is checked:
issuer, audience, times, nonce and signature of the ID token.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httpx
from authlib.common.security import generate_token
from authlib.oauth2 import OAuth2Error
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import get_well_known_url
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from flist.hub.errors import HubError, NotSignedInError

KEPT_S = 3600.0
REFRESH_S = 60.0
TIMEOUT_S = 10.0
LEEWAY_S = 60
MAX_BYTES = 1 << 20
SUB_MAX_CHARS = 255  # OpenID Connect Core, section 2
SCOPE = "openid profile email"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
"""By a provider's public key only: the others are by a shared secret, or none."""
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ProviderError(HubError):
    """The provider does not answer, or says something that cannot be used."""

    http_status = 502


@dataclass(frozen=True, slots=True)
class Attempt:
    """What the browser keeps in a cookie while its user is at the provider."""

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has signed in: the issuer with its subject, and the name that the user likes."""

    subject: str
    name: str


class Bounded(httpx.HTTPTransport):
    """Ends an answer that is too long."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the response."""
        response = super().handle_request(request)
        response.stream = BoundedStream(cast("httpx.SyncByteStream", response.stream))
        return response


class BoundedStream(httpx.SyncByteStream):
    """At most `MAX_BYTES` of another stream."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self.stream:
            size += len(piece)
            if size > MAX_BYTES:
                raise httpx.DecodingError(f"an answer of more than {MAX_BYTES} bytes")
            yield piece

    def close(self) -> None:
        """Close it."""
        self.stream.close()


class SentAuth(httpx.Auth, ClientAuth):  # type: ignore[misc]
    """Puts the client's id and secret into the request for a token."""

    requires_request_body = True

    def auth_flow(self, request: httpx.Request) -> Any:
        """Yield the request with them."""
        url, headers, body = self.prepare(
            request.method, str(request.url), request.headers, request.content.decode()
        )
        headers.pop("Content-Length", None)
        yield httpx.Request(request.method, url, headers=headers, content=body)


class Provider:
    """One provider, and this hub as its client. `redirect_url` is where it sends browsers back."""

    def __init__(
        self,
        issuer: str,
        client_id: str,
        client_secret: str,
        redirect_url: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self.client_secret = client_secret
        self.redirect_url = redirect_url
        self.clock = clock
        self.kept: dict[str, tuple[float, dict[str, Any]]] = {}

    def begin(self) -> tuple[str, Attempt]:
        """Return where the browser has to go, and what it has to keep. Raises `ProviderError`."""
        attempt = Attempt(generate_token(32), generate_token(32), generate_token(48))
        with self.client() as client:
            url, _ = client.create_authorization_url(
                self.metadata(client)["authorization_endpoint"],
                state=attempt.state,
                nonce=attempt.nonce,
                code_verifier=attempt.verifier,
            )
        return url, attempt

    def finish(self, attempt: Attempt, said: Mapping[str, str]) -> Identity:
        """Return who has signed in, from the query that the browser has come back with.

        Raises `NotSignedInError` and `ProviderError`.
        """
        if said.get("state") != attempt.state:
            raise NotSignedInError("this is not the sign-in that was begun", hint="begin it again")
        if "error" in said or not said.get("code"):
            reason = said.get("error_description") or said.get("error") or "it gave no code"
            raise NotSignedInError(f"the provider refused: {reason[:200]}")
        with self.client() as client, explained():
            answer = client.fetch_token(
                self.metadata(client)["token_endpoint"],
                grant_type="authorization_code",
                code=said["code"],
                code_verifier=attempt.verifier,
            )
            return self.read_identity(client, answer, attempt.nonce)

    def read_identity(self, client: Any, answer: Mapping[str, Any], nonce: str) -> Identity:
        """Return whom an ID token names, once it has been checked."""
        text = answer.get("id_token")
        if not isinstance(text, str):
            raise ProviderError("cannot sign in: the provider gave no ID token")
        found = self.decode(client, text)
        claims = CodeIDToken(
            found.claims,
            found.header,
            {
                "iss": {"essential": True, "value": self.issuer},
                "aud": {"essential": True, "value": self.client_id},
            },
            {"nonce": nonce, "client_id": self.client_id},
        )
        claims.validate(int(self.clock()), LEEWAY_S)
        subject = claims["sub"]
        if not 0 < len(subject) <= SUB_MAX_CHARS or not subject.isprintable():
            raise ProviderError("cannot sign in: the provider gave no usable subject")
        mail = str(claims.get("email") or "").partition("@")[0]
        return Identity(f"{self.issuer} {subject}", str(claims.get("preferred_username") or mail))

    def decode(self, client: Any, text: str) -> jwt.Token:
        """Return a token whose signature holds; raises `JoseError`."""
        try:
            return jwt.decode(text, self.keys(client, KEPT_S), list(ALGORITHMS))
        except (JoseError, ValueError):  # by a new key, perhaps
            return jwt.decode(text, self.keys(client, REFRESH_S), list(ALGORITHMS))

    def keys(self, client: Any, kept_s: float) -> KeySet:
        """Return the provider's keys, which are at most so old."""
        place = self.metadata(client)["jwks_uri"]
        return KeySet.import_key_set(cast(Any, self.fetch(client, place, kept_s)))

    def metadata(self, client: Any) -> dict[str, Any]:
        """Return the discovery document. Raises `ProviderError`."""
        found = self.fetch(client, get_well_known_url(self.issuer, external=True), KEPT_S)
        if found.get("issuer") != self.issuer:
            raise ProviderError(f"cannot sign in: the provider is not {self.issuer}")
        for name in ENDPOINTS:
            if not is_safe(str(found.get(name))):
                raise ProviderError(f"cannot sign in: the provider has no usable {name}")
        return found

    def fetch(self, client: Any, url: str, kept_s: float) -> dict[str, Any]:
        """Return a JSON object of the provider's, which is at most so old."""
        at_s, found = self.kept.get(url, (-KEPT_S, {}))
        now_s = self.clock()
        if not 0 <= now_s - at_s < kept_s:
            with explained():
                response = client.session.get(url)
                response.raise_for_status()
                found = response.json()
                if not isinstance(found, dict):
                    raise ValueError("it is no JSON object")
            self.kept[url] = (now_s, found)
        return found

    def client(self) -> "Client":
        """Return a client for one exchange."""
        return Client(self)


class Client(OAuth2Client):  # type: ignore[misc] # authlib has no types
    """authlib's client, on connections that end with the block."""

    client_auth_class = SentAuth

    def __init__(self, provider: Provider) -> None:
        super().__init__(
            httpx.Client(transport=Bounded(), timeout=TIMEOUT_S),
            provider.client_id,
            provider.client_secret or None,
            scope=SCOPE,
            redirect_uri=provider.redirect_url,
            code_challenge_method="S256",
        )

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turn what goes wrong in an exchange into the errors of the hub."""
    try:
        yield
    except OAuth2Error as error:
        raise NotSignedInError(f"the provider refused: {str(error)[:200]}") from error
    except JoseError as error:
        raise NotSignedInError(f"the provider's ID token is not valid: {error}"[:300]) from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise ProviderError(
            f"cannot sign in: the provider does not answer: {error}"[:300]
        ) from error


def is_safe(url: str) -> bool:
    """Return whether a URL is HTTPS, or of this machine."""
    try:
        place = urlsplit(url)
    except ValueError:
        return False
    is_here = place.scheme == "http" and place.hostname in LOOPBACK
    return bool(place.hostname) and (place.scheme == "https" or is_here)
