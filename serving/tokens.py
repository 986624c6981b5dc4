"""Bearer tokens with scopes (RFC 6750), kept in a server's database.

A token is `zos_ID_SECRET`. The secret has 256 random bits; the database has its SHA-256 only. A
token that was revoked, or has expired, is refused from the next request on.
"""

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import BigInteger, Column, MetaData, String, Table, insert, select, update

from common.errors import UsageError, ZosError
from serving.database import Database

SECRET_BYTES = 32
ID_BYTES = 4
DAY_S = 86400
NAME_MAX_CHARS = 100
TOKEN = re.compile(r"zos_([0-9a-f]{8})_([A-Za-z0-9_-]{43})")

METADATA = MetaData()
TOKENS = Table(
    "tokens",
    METADATA,
    Column("id", String(2 * ID_BYTES), primary_key=True),
    Column("name", String(NAME_MAX_CHARS), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("scopes", String(200), nullable=False),
    Column("created_s", BigInteger, nullable=False),
    Column("expires_s", BigInteger),
    Column("revoked_s", BigInteger),
)
BEARER = HTTPBearer(auto_error=False, description="a token of `zos bootstrap token create`")


class TokenError(ZosError):
    """The request carries no token, or one that is not valid."""

    http_status = 401

    def __init__(self, message: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.http_headers = {"WWW-Authenticate": f'Bearer error="{code}"' if code else "Bearer"}


class ScopeError(ZosError):
    """The token is valid, but not for this."""

    http_status = 403

    def __init__(self, scope: str) -> None:
        super().__init__(f"the token lacks the scope {scope}")
        said = f'Bearer error="insufficient_scope", scope="{scope}"'
        self.http_headers = {"WWW-Authenticate": said}


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; its text is not."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_s: int
    expires_s: int | None
    revoked_s: int | None

    def find_fault(self, now_s: float) -> str | None:
        """Return why the token is not valid, or None."""
        if self.revoked_s is not None:
            return "revoked"
        return "expired" if self.expires_s is not None and now_s >= self.expires_s else None


class Tokens:
    """The tokens of one server; `scopes` are those that its endpoints ask for."""

    def __init__(
        self, database: Database, scopes: Iterable[str], clock: Callable[[], float] = time.time
    ) -> None:
        self.database = database
        self.scopes = tuple(scopes)
        self.clock = clock

    def create(self, name: str, scopes: Iterable[str], days: int = 0) -> str:
        """Return the text of a new token, which is shown this once; 0 days: it does not expire."""
        wanted = sorted(set(scopes))
        self.check_words(name, wanted, days)
        now_s = int(self.clock())
        text, mark, digest = make_text()
        row = {
            "id": mark,
            "name": name,
            "digest": digest,
            "scopes": " ".join(wanted),
            "created_s": now_s,
            "expires_s": now_s + days * DAY_S if days else None,
        }
        with self.database.writing() as connection:
            connection.execute(insert(TOKENS).values(row))
        return text

    def check_words(self, name: str, scopes: list[str], days: int) -> None:
        """Raise `UsageError` for what a new token can't have."""
        if not name or len(name) > NAME_MAX_CHARS or not name.isprintable():
            raise UsageError(f"cannot name a token so: 1 to {NAME_MAX_CHARS} printable characters")
        if not 0 <= days <= 100 * 365:
            raise UsageError("cannot make a token for so many days", hint="0 is without an end")
        unknown = [scope for scope in scopes if scope not in self.scopes]
        if unknown or not scopes:
            what = f"there is no scope {unknown[0]!r}" if unknown else "it needs a scope"
            raise UsageError(
                f"cannot make a token: {what}", hint="the scopes are " + ", ".join(self.scopes)
            )

    def list_all(self) -> list[Token]:
        """Return all tokens, also the invalid ones, oldest first."""
        with self.database.reading() as connection:
            order = select(TOKENS).order_by(TOKENS.c.created_s, TOKENS.c.id)
            return [make_token(row) for row in connection.execute(order)]

    def revoke(self, mark: str) -> bool:
        """Make the token with this id invalid; return whether there is one."""
        change = update(TOKENS).where(TOKENS.c.id == mark)
        with self.database.writing() as connection:
            first = change.where(TOKENS.c.revoked_s.is_(None))
            connection.execute(first.values(revoked_s=int(self.clock())))
            known = select(TOKENS.c.id).where(TOKENS.c.id == mark)
            return connection.execute(known).first() is not None

    def check(self, text: str | None, scope: str) -> Token:
        """Return the token `text` if it is valid for `scope`. Raises the errors of this module."""
        if not text:
            raise TokenError("a token is needed", hint=self.hint)
        match = TOKEN.fullmatch(text)
        row = self.find(match[1]) if match else None
        # A token that does not exist takes the same steps as a wrong secret.
        known = row.digest if row else digest_of("")
        is_right = hmac.compare_digest(digest_of(match[2] if match else text), known)
        if row is None or not is_right:
            raise TokenError("the token is not valid", hint=self.hint, code="invalid_token")
        token = make_token(row)
        fault = token.find_fault(self.clock())
        if fault:
            raise TokenError(f"the token is {fault}", hint=self.hint, code="invalid_token")
        if scope not in token.scopes:
            raise ScopeError(scope)
        return token

    @property
    def hint(self) -> str:
        """Return what to do without a valid token."""
        if not self.database.is_lasting:
            return "this server keeps no tokens: its operator has to give it a database"
        return "the header is: Authorization: Bearer TOKEN; the server's operator makes tokens"

    def find(self, mark: str) -> Any:
        """Return the row of a token, or None."""
        with self.database.reading() as connection:
            return connection.execute(select(TOKENS).where(TOKENS.c.id == mark)).first()


class Demand:
    """A dependency of an endpoint: the request must carry a token with `scope`, which it returns.

    The application has its `Tokens` as `app.state.tokens`.
    """

    def __init__(self, scope: str) -> None:
        self.scope = scope

    def __call__(
        self,
        request: Request,
        sent: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    ) -> Token:
        """Check the request, in a thread: it asks the database."""
        tokens: Tokens = request.app.state.tokens
        return tokens.check(sent.credentials if sent else None, self.scope)


class Offer(Demand):
    """The same for an endpoint that tells less without a token: None. A wrong one is refused."""

    def __call__(  # type: ignore[override]
        self,
        request: Request,
        sent: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    ) -> Token | None:
        """Check the request, in a thread."""
        return super().__call__(request, sent) if sent else None


def make_token(row: Any) -> Token:
    """Return what a row says."""
    scopes = tuple(row.scopes.split())
    return Token(row.id, row.name, scopes, row.created_s, row.expires_s, row.revoked_s)


def make_text() -> tuple[str, str, str]:
    """Return a new token's text, and of it what a database keeps: its id and the digest."""
    mark = secrets.token_hex(ID_BYTES)
    secret = base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).decode().rstrip("=")
    return f"zos_{mark}_{secret}", mark, digest_of(secret)


def digest_of(secret: str) -> str:
    """Return what the database keeps of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
