"""Credentials for a registry, and the challenges that a registry sends. Pure; `session.py` decides
what is sent where.

Source: RFC 9110 section 11; the distribution project's "Token Authentication Specification".
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from common.errors import UsageError
from flist.http.urls import basic_authorization
from flist.oci.source.reference import DEFAULT_REGISTRY, HUB_ALIASES, Reference

PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))\s*(?:,|$)')
MAX_CHALLENGE = 8192


class Credentials(NamedTuple):
    """Credentials of a user for one registry."""

    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""

    @property
    def basic(self) -> str:
        """The value of the Authorization header for Basic authentication, or an empty text."""
        return basic_authorization(self.username, self.password) if self.username else ""

    def __repr__(self) -> str:
        return "Credentials(...)"  # keeps them out of tracebacks and logs


class Challenge(NamedTuple):
    """One way to authenticate that a registry offers."""

    scheme: str
    parameters: Mapping[str, str]


def read_credentials(
    *, username: str, password: str, auth: str, identity_token: str, registry_token: str
) -> Credentials:
    """Return the credentials given by upstream's options; raises `UsageError`.

    `auth` is base64 of USER:PASSWORD, as in Docker's config.json.
    """
    if auth:
        try:
            decoded = base64.b64decode(auth, validate=True).decode()
        except ValueError as error:  # also what is not ASCII, or no UTF-8 inside
            raise UsageError("cannot read --auth: it is not base64 of USER:PASSWORD") from error
        name, colon, secret = decoded.partition(":")
        if not colon:
            raise UsageError("cannot read --auth: it is not base64 of USER:PASSWORD")
        username, password = username or name, password or secret
    if password and not username:
        raise UsageError("a password needs a user", hint="--username NAME")
    for token in (identity_token, registry_token):
        if not is_token(token):
            raise UsageError("cannot use a token that holds blanks or control characters")
    return Credentials(username, password, identity_token, registry_token)


def is_token(text: str) -> bool:
    """Return whether `text` can stand in a header."""
    return text.isascii() and all("!" <= character <= "~" for character in text)


def check_server(reference: Reference, server_address: str) -> None:
    """Raise `UsageError` if `server_address` is not the image's registry."""
    if not server_address:
        return
    host = re.sub(r"^[a-z]+://", "", server_address.lower()).partition("/")[0]
    host = DEFAULT_REGISTRY if host in HUB_ALIASES else host
    if host != reference.registry.lower():
        raise UsageError(
            f"the credentials are for {host}, but the image is at {reference.registry}",
            hint="name the registry in the image: HOST/PATH:TAG",
        )


def parse_challenges(headers: Sequence[str]) -> list[Challenge]:
    """Return the challenges of the WWW-Authenticate headers; malformed parameters are skipped."""
    found = []
    for header in headers:
        scheme, _, rest = header[:MAX_CHALLENGE].strip().partition(" ")
        parameters = {}
        at = 0
        while match := PARAMETER.match(rest, at):
            quoted = match[2]
            value = match[3] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters[match[1].lower()] = value
            at = match.end()
        found.append(Challenge(scheme.lower(), parameters))
    return found
