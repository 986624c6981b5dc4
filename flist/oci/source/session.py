"""Requests to one repository of a registry, authenticated as the registry demands.

Credentials go to the registry itself, or to the token service that it names in a challenge, and
nowhere else: not where a blob is redirected to, and from TLS never to plain HTTP.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from common.text import printable
from flist.errors import StoreError
from flist.http.client import FIRST_PAUSE_S, NO_HEADERS, SKIPPED_BYTES, Client
from flist.http.origin import Response
from flist.http.status import DENIED
from flist.http.urls import path_of, split_url
from flist.oci.errors import ImageError
from flist.oci.manifest import parse_json
from flist.oci.source.auth import Challenge, Credentials, is_token, parse_challenges
from flist.oci.source.reference import Reference

AGENT = "zero-os"
TIMEOUT_S = 60.0
TRIES = 4
MAX_ANSWER_BYTES = 1 << 20
MAX_REASON_BYTES = 64 << 10
SHOWN_CHARACTERS = 300


class Session:
    """Gets what is below one repository; `is_insecure` uses plain HTTP in place of TLS.

    Raises `StoreError` and its kinds for what goes wrong on the way, `ImageError` for refusals.
    """

    def __init__(
        self,
        reference: Reference,
        credentials: Credentials,
        *,
        is_insecure: bool = False,
        first_pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        self.reference = reference
        self.credentials = credentials
        self.is_insecure = is_insecure
        self.first_pause_s = first_pause_s
        scheme = "http" if is_insecure else "https"
        self.client = self.connect(f"{scheme}://{reference.endpoint}/v2/{reference.repository}")
        token = credentials.registry_token
        self.secret = f"Bearer {token}" if token else ""

    def connect(self, url: str, *, is_following: bool = True) -> Client:
        """Return a client that repeats requests while a server is busy."""
        return Client(
            url,
            max_bytes=MAX_ANSWER_BYTES,
            timeout_s=TIMEOUT_S,
            tries=TRIES,
            first_pause_s=self.first_pause_s,
            is_following=is_following,
        )

    def close(self) -> None:
        """Close all connections."""
        self.client.close()

    @contextlib.contextmanager
    def get(
        self, path: str, max_bytes: int, headers: Mapping[str, str] = NO_HEADERS
    ) -> Iterator[Response]:
        """Yield the answer to a GET below the repository; its body has at most `max_bytes`."""
        with self.send(path, max_bytes, headers) as response:
            if response.status != 401 or not response.is_home:
                yield response
                return
            challenges = parse_challenges(response.headers("WWW-Authenticate"))
            response.read(SKIPPED_BYTES)
        self.secret = self.answer(challenges)
        with self.send(path, max_bytes, headers) as response:
            yield response

    def send(self, path: str, max_bytes: int, headers: Mapping[str, str]) -> Response:
        """Return the answer to one GET."""
        patience = self.client.be_patient(max_bytes=max_bytes)
        headers = {"User-Agent": AGENT, **headers}
        return self.client.open("GET", path, None, headers, secret=self.secret, patience=patience)

    def answer(self, challenges: Sequence[Challenge]) -> str:
        """Return the value of the Authorization header that meets one of the challenges."""
        by_scheme = {challenge.scheme: challenge for challenge in challenges}
        if "bearer" in by_scheme and not self.credentials.registry_token:
            return "Bearer " + self.get_token(by_scheme["bearer"])
        if "basic" in by_scheme and self.credentials.basic:
            return self.credentials.basic
        raise self.denied("it wants credentials")

    def get_token(self, challenge: Challenge) -> str:
        """Return a token from the service that the registry names, for pulling and nothing else."""
        realm = challenge.parameters.get("realm", "")
        if not self.is_insecure and split_url(realm).scheme == "http":
            raise ImageError("cannot authenticate: the token service speaks plain HTTP")
        form = {"scope": f"repository:{self.reference.repository}:pull"}
        if service := challenge.parameters.get("service"):
            form["service"] = service
        # A redirect is not followed: it would need the credentials.
        client = self.connect(realm, is_following=False)
        with contextlib.closing(client), self.ask_token(client, realm, form) as response:
            if response.status in (400, *DENIED):
                raise self.denied("its token service refuses the credentials")
            self.demand(response, (200,), "a token")
            answer = read_limited(response, MAX_ANSWER_BYTES, "the token")
        return read_token(parse_json(answer, "the token service's answer"))

    def ask_token(self, client: Client, realm: str, form: dict[str, str]) -> Response:
        """Return the answer of a token service to `form`."""
        headers = {"User-Agent": AGENT}
        if self.credentials.identity_token:
            form |= {"grant_type": "refresh_token", "client_id": AGENT}
            form["refresh_token"] = self.credentials.identity_token
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            path, body = path_of(split_url(realm)), urlencode(form).encode()
            return client.open("POST", path, body, headers)
        joint = "&" if "?" in realm else "?"
        path = path_of(split_url(realm + joint + urlencode(form)))
        return client.open("GET", path, None, headers, secret=self.credentials.basic)

    def demand(self, response: Response, statuses: tuple[int, ...], what: str) -> None:
        """Raise `ImageError` unless the answer has one of `statuses`."""
        if response.status in statuses:
            return
        registry = self.reference.registry
        if response.status in DENIED:
            raise self.denied(read_reason(response) or "it refuses the credentials")
        if response.status == 404:
            raise ImageError(f"cannot find {what} at {registry}")
        said = f"{registry} answered {response.status} {read_reason(response)}"
        raise ImageError(f"cannot get {what}: {said.strip()}")

    def denied(self, reason: str) -> ImageError:
        """Return the error for an image that the user may not pull."""
        return ImageError(
            f"cannot pull {self.reference}: {reason}",
            hint="--username and --password, or a token, for this registry; is the name right?",
        )


def read_token(value: dict[str, Any]) -> str:
    """Return the token in the answer of a token service."""
    token = value.get("token") or value.get("access_token")
    if not isinstance(token, str) or not is_token(token) or not token:
        raise ImageError("cannot authenticate: the token service gave no token")
    return token


def read_limited(response: Response, limit: int, what: str) -> bytes:
    """Return a whole body; raises `ImageError` if it is larger than `limit` bytes."""
    data = response.read(limit)
    if len(data) > limit:
        raise ImageError(f"cannot read {what}: it has more than {limit} bytes")
    return data


def read_reason(response: Response) -> str:
    """Return the messages in a registry's error, empty if there are none that can be read."""
    try:
        value = json.loads(response.read(MAX_REASON_BYTES))
        found = [str(error.get("message") or error.get("code")) for error in value["errors"]]
    except (StoreError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return printable("; ".join(found)[:SHOWN_CHARACTERS])
