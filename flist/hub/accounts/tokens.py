"""Bearer tokens of accounts (RFC 6750): `zos_ID_SECRET`, of which the database has a hash.

A token has scopes, mostly an end, and may be limited to one repository. A session is a token that
its user got by signing in. The database is asked at every request, so a token that is revoked, or
whose account is disabled, is refused from the next one on.
"""

import hmac
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from flist.hub.accounts.accounts import USER, Account, make_account, make_viewer
from flist.hub.errors import AbsentError, ConflictError, InvalidError, NotSignedInError
from flist.hub.state.tables import ACCOUNTS, MEMBERS, TOKENS
from flist.hub.state.viewer import SCOPES, Viewer
from serving.database import Database
from serving.tokens import DAY_S, NAME_MAX_CHARS, TOKEN, digest_of, make_text

DEFAULT_DAYS = 90
MAX_DAYS = 3660
MAX_PER_ACCOUNT = 1000
KEPT_S = 30 * DAY_S
"""How long a session that is over stays in the lists."""
REPOSITORY_MAX_CHARS = 100


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token; its text is not."""

    id: str
    name: str
    scopes: tuple[str, ...]
    repository: str | None
    is_session: bool
    created_s: float
    expires_s: float | None
    revoked_s: float | None

    def find_fault(self, now_s: float) -> str | None:
        """Return why the token is not valid, or None."""
        if self.revoked_s is not None:
            return "revoked"
        return "expired" if self.expires_s is not None and now_s >= self.expires_s else None


GROUPS = ACCOUNTS.alias("groups_of")
OF_TOKEN = (
    select(
        TOKENS,
        ACCOUNTS.c.name.label("account_name"),
        ACCOUNTS.c.is_admin,
        ACCOUNTS.c.disabled_s,
        GROUPS.c.id.label("group_id"),
        GROUPS.c.name.label("group_name"),
    )
    .select_from(
        TOKENS.join(ACCOUNTS, TOKENS.c.account_id == ACCOUNTS.c.id)
        .outerjoin(MEMBERS, MEMBERS.c.account_id == ACCOUNTS.c.id)
        .outerjoin(GROUPS, (MEMBERS.c.group_id == GROUPS.c.id) & GROUPS.c.disabled_s.is_(None))
    )
    .where(TOKENS.c.id == bindparam("mark"))
)
"""A token with its account: a row for each of the account's groups, or one."""


class Tokens:
    """The tokens of one hub."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self.clock = clock

    def create(
        self,
        account: Account,
        name: str,
        scopes: Iterable[str],
        days: float = DEFAULT_DAYS,
        repository: str | None = None,
        *,
        is_session: bool = False,
    ) -> str:
        """Return the text of a new token, which is shown this once; 0 days: it does not expire.

        Raises `InvalidError`, and `ConflictError` if the account has very many.
        """
        wanted = sorted(set(scopes))
        check_wish(account, name, wanted, days, repository)
        text, mark, digest = make_text()
        now_s = self.clock()
        row = {
            "id": mark,
            "account_id": account.id,
            "name": name,
            "digest": digest,
            "scopes": " ".join(wanted),
            "repository": repository,
            "is_session": is_session,
            "created_s": now_s,
            "expires_s": now_s + days * DAY_S if days else None,
        }
        mine = TOKENS.c.account_id == account.id
        over = (TOKENS.c.expires_s < now_s - KEPT_S) | (TOKENS.c.revoked_s < now_s - KEPT_S)
        with self.database.writing() as connection:
            connection.execute(delete(TOKENS).where(mine, TOKENS.c.is_session, over))
            valid = select(func.count()).select_from(TOKENS).where(mine, *self.valid())
            if (connection.execute(valid).scalar() or 0) >= MAX_PER_ACCOUNT:
                raise ConflictError(
                    f"the account has {MAX_PER_ACCOUNT} valid tokens", hint="revoke some"
                )
            connection.execute(insert(TOKENS).values(row))
        return text

    def valid(self) -> tuple[Any, Any]:
        """Return the conditions for a token to be valid now."""
        is_lasting = TOKENS.c.expires_s.is_(None) | (TOKENS.c.expires_s > self.clock())
        return TOKENS.c.revoked_s.is_(None), is_lasting

    def list(self, account: Account) -> list[Token]:
        """Return an account's tokens, also those that are not valid any more, oldest first."""
        asked = select(TOKENS).where(TOKENS.c.account_id == account.id)
        with self.database.reading() as connection:
            order = asked.order_by(TOKENS.c.created_s, TOKENS.c.id)
            return [make_token(row) for row in connection.execute(order)]

    def revoke(self, account: Account, mark: str) -> None:
        """Make the account's token with this id invalid. Raises `AbsentError`."""
        mine = (TOKENS.c.id == mark, TOKENS.c.account_id == account.id)
        with self.database.writing() as connection:
            change = update(TOKENS).where(*mine, TOKENS.c.revoked_s.is_(None))
            connection.execute(change.values(revoked_s=self.clock()))
            if connection.execute(select(TOKENS.c.id).where(*mine)).first() is None:
                raise AbsentError(f"{account.name} has no token {mark[:20]!r}")

    def owner(self, mark: str) -> Account:
        """Return whose token has this id. Raises `AbsentError`."""
        joined = TOKENS.join(ACCOUNTS, TOKENS.c.account_id == ACCOUNTS.c.id)
        asked = select(ACCOUNTS).select_from(joined).where(TOKENS.c.id == mark)
        with self.database.reading() as connection:
            found = connection.execute(asked).first()
        if found is None:
            raise AbsentError(f"there is no token {mark[:20]!r}")
        return make_account(found)

    def find_viewer(self, text: str, address: str = "") -> Viewer:
        """Return who a request with this token is by. Raises `NotSignedInError`."""
        match = TOKEN.fullmatch(text)
        rows = self.read(match[1]) if match else []
        # A token that does not exist takes the same steps as a wrong secret.
        known = rows[0].digest if rows else digest_of("")
        is_right = hmac.compare_digest(digest_of(match[2] if match else text), known)
        if not rows or not is_right:
            raise NotSignedInError("the token is not valid", hint="sign in again")
        token, account = make_token(rows[0]), make_owner(rows[0])
        fault = "of a disabled account" if account.is_disabled else token.find_fault(self.clock())
        if fault:
            raise NotSignedInError(f"the token is {fault}", hint="sign in again")
        groups = {row.group_id: row.group_name for row in rows if row.group_id is not None}
        return make_viewer(account, groups, token.scopes, token.repository, address)

    def read(self, mark: str) -> Sequence[Row[Any]]:
        """Return a token with its account: a row for each of the account's groups, or one."""
        with self.database.reading() as connection:
            return connection.execute(OF_TOKEN, {"mark": mark}).all()


def check_wish(
    account: Account, name: str, scopes: list[str], days: float, repository: str | None
) -> None:
    """Raise `InvalidError` for what a new token can't be."""
    if account.kind != USER:
        raise InvalidError(f"{account.name} is a group, which has no tokens: its members have")
    if not name or len(name) > NAME_MAX_CHARS or not name.isprintable():
        raise InvalidError(f"a token's name has 1 to {NAME_MAX_CHARS} printable characters")
    if not 0 <= days <= MAX_DAYS:
        raise InvalidError(f"a token is valid for up to {MAX_DAYS} days", hint="0 is without end")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        what = f"there is no scope {unknown[0][:40]!r}" if unknown else "a token needs a scope"
        raise InvalidError(what, hint="the scopes are " + ", ".join(SCOPES))
    if repository is not None and not 0 < len(repository) <= REPOSITORY_MAX_CHARS:
        raise InvalidError("this is not the name of a repository")


def make_token(row: Any) -> Token:
    """Return what a row says of a token."""
    return Token(
        row.id, row.name, tuple(row.scopes.split()), row.repository, row.is_session,
        row.created_s, row.expires_s, row.revoked_s,
    )  # fmt: skip


def make_owner(row: Any) -> Account:
    """Return what a row of `Tokens.read` says of the account, as far as a request needs it."""
    return Account(
        row.account_id, row.account_name, USER, False, None, None,
        row.is_admin, None, 0.0, row.disabled_s,
    )  # fmt: skip
