"""Accounts: users, who sign in, and groups, which own repositories for their members.

Nothing here asks who wants a change: `administration.py` does. There is always an account that may
administer the hub, once there is one.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from common.publickeys import KEY_BYTES
from flist.hub.accounts.names import NAME
from flist.hub.accounts.passwords import Passwords
from flist.hub.errors import AbsentError, ConflictError, InvalidError
from flist.hub.state.tables import ACCOUNTS, MEMBERS, REPOSITORIES, TOKENS
from flist.hub.state.viewer import ADMIN, SCOPES, Viewer
from serving.database import Database, insert_new

PUBLIC_KEY = re.compile(rf"[0-9a-f]{{{2 * KEY_BYTES}}}")
USER, GROUP = "user", "group"
OF_GROUPS = {"quota_bytes", "is_disabled"}
SUBJECT_MAX_CHARS = 500
MAX_QUOTA_BYTES = 1 << 60
SHOWN_NAMES = 5


@dataclass(frozen=True, slots=True)
class Account:
    """A user or a group. `public_key` is Ed25519 in hex, `subject` is that of an OIDC provider."""

    id: int
    name: str
    kind: str
    has_password: bool
    public_key: str | None
    subject: str | None
    is_admin: bool
    quota_bytes: int | None
    created_s: float
    disabled_s: float | None

    @property
    def is_disabled(self) -> bool:
        """Return whether it may not sign in, and its tokens are refused."""
        return self.disabled_s is not None


class Accounts:
    """The accounts of one hub."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.passwords = passwords or Passwords()
        self.clock = clock

    def create(
        self,
        name: str,
        *,
        kind: str = USER,
        password: str | None = None,
        public_key: str | None = None,
        is_admin: bool = False,
        subject: str | None = None,
    ) -> Account:
        """Make an account. Raises `InvalidError`, and `ConflictError` for a name that is taken."""
        if not NAME.fullmatch(name):
            raise InvalidError(
                f"cannot name an account {name[:100]!r}", hint="letters, digits, . _ -"
            )
        if kind not in (USER, GROUP) or (kind == GROUP and (password or public_key or is_admin)):
            raise InvalidError("an account is a user or a group, and a group cannot sign in")
        row = {
            "name": name,
            "kind": kind,
            "password": None if password is None else self.passwords.hash(password),
            "public_key": check_key(public_key),
            "subject": check_subject(subject),
            "is_admin": is_admin,
            "created_s": self.clock(),
        }
        with self.database.writing() as connection:
            self.lock_others(connection)
            # Names that differ in case only would be mistaken for one another.
            taken = select(ACCOUNTS.c.id).where(func.lower(ACCOUNTS.c.name) == name.lower())
            if connection.execute(taken).first():
                raise ConflictError(f"there is an account {name!r} already")
            with no_twin("the name or the subject of another account"):
                connection.execute(insert(ACCOUNTS).values(row))
            return self.read(connection, name)

    def read(self, connection: Connection, name: str) -> Account:
        """Return the account `name`. Raises `AbsentError`."""
        found = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name)).first()
        if found is None:
            raise AbsentError(f"there is no account {name[:100]!r}")
        return make_account(found)

    def find(self, name: str) -> Account:
        """Return the account `name`. Raises `AbsentError`."""
        with self.database.reading() as connection:
            return self.read(connection, name)

    def find_by_subject(self, subject: str) -> Account | None:
        """Return the account that an OIDC provider's subject belongs to."""
        with self.database.reading() as connection:
            asked = select(ACCOUNTS).where(ACCOUNTS.c.subject == subject)
            found = connection.execute(asked).first()
            return make_account(found) if found else None

    def list(self) -> list[Account]:
        """Return all accounts by name."""
        with self.database.reading() as connection:
            rows = connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.name))
            return [make_account(row) for row in rows]

    def members(self, group: str) -> Sequence[str]:
        """Return the names of a group's members. Raises `AbsentError`."""
        with self.database.reading() as connection:
            found = self.read_group(connection, group)
            joined = MEMBERS.join(ACCOUNTS, MEMBERS.c.account_id == ACCOUNTS.c.id)
            asked = select(ACCOUNTS.c.name).select_from(joined)
            asked = asked.where(MEMBERS.c.group_id == found.id).order_by(ACCOUNTS.c.name)
            return connection.execute(asked).scalars().all()

    def groups(self, account: Account) -> dict[int, str]:
        """Return the groups that an account is a member of, but for disabled ones, by id."""
        with self.database.reading() as connection:
            joined = MEMBERS.join(ACCOUNTS, MEMBERS.c.group_id == ACCOUNTS.c.id)
            asked = select(ACCOUNTS.c.id, ACCOUNTS.c.name).select_from(joined)
            mine = (MEMBERS.c.account_id == account.id, ACCOUNTS.c.disabled_s.is_(None))
            rows = connection.execute(asked.where(*mine))
            return {row.id: row.name for row in rows}

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password; whoever is signed in has to do so again."""
        self.change(name, {"password": password})

    def set_key(self, name: str, public_key: str | None) -> None:
        """Give a user another public key, or none."""
        self.change(name, {"public_key": public_key})

    def disable(self, name: str) -> None:
        """Refuse the account's tokens and sign-ins from now on."""
        self.change(name, {"is_disabled": True})

    def enable(self, name: str) -> None:
        """Let a disabled account in again; its tokens are valid again."""
        self.change(name, {"is_disabled": False})

    def change(self, name: str, what: Mapping[str, Any]) -> None:
        """Change an account, all that is named or nothing: `password`, `public_key`, `subject`,
        `is_admin`, `is_disabled`, `quota_bytes`.

        Raises `AbsentError`, `ConflictError`, `InvalidError`.
        """
        values = dict(self.prepare(key, value) for key, value in what.items())
        with self.database.writing() as connection:
            self.lock_others(connection)
            account = self.read(connection, name)
            if account.kind == GROUP and what.keys() - OF_GROUPS:
                raise InvalidError(f"{name} is a group, which cannot sign in")
            if values:
                with no_twin("the subject of another account"):
                    change = update(ACCOUNTS).where(ACCOUNTS.c.id == account.id)
                    connection.execute(change.values(values))
            self.demand_admin_left(connection, account)
            if "password" in what:
                self.end_sessions(connection, account)

    def prepare(self, key: str, value: Any) -> tuple[str, Any]:
        """Return a column and its value for what shall change. Raises `InvalidError`."""
        if key == "is_disabled":
            return "disabled_s", self.clock() if value else None
        if key == "password":
            return key, self.passwords.hash(value)
        return key, CHECKS[key](value)

    def end_sessions(self, connection: Connection, account: Account) -> None:
        """Revoke the tokens that a user got by signing in."""
        change = update(TOKENS).where(TOKENS.c.account_id == account.id, TOKENS.c.is_session)
        first = change.where(TOKENS.c.revoked_s.is_(None))
        connection.execute(first.values(revoked_s=self.clock()))

    def lock_others(self, connection: Connection) -> None:
        """Let no other change of accounts happen before this one is over: all lock the same rows.

        Else two administrators could disable one another at the same time, and two accounts get
        names that differ in case only.
        """
        admins = select(ACCOUNTS.c.id).where(ACCOUNTS.c.is_admin).order_by(ACCOUNTS.c.id)
        connection.execute(admins.with_for_update()).all()

    def demand_admin_left(self, connection: Connection, changed: Account) -> None:
        """Raise `ConflictError` if the last account was changed that administers the hub."""
        if not changed.is_admin or changed.is_disabled:
            return
        able = (ACCOUNTS.c.is_admin, ACCOUNTS.c.disabled_s.is_(None))
        if not connection.execute(select(ACCOUNTS.c.id).where(*able)).first():
            raise ConflictError(
                f"{changed.name} is the only administrator", hint="make another account one first"
            )

    def delete(self, name: str) -> None:
        """Remove an account with its tokens. Raises `ConflictError` while it owns repositories."""
        with self.database.writing() as connection:
            self.lock_others(connection)
            account = self.read(connection, name)
            owned = select(REPOSITORIES.c.name).where(REPOSITORIES.c.owner_id == account.id)
            names = list(connection.execute(owned.order_by(REPOSITORIES.c.name)).scalars())
            if names:
                shown = ", ".join(names[:SHOWN_NAMES]) + (" ..." if names[SHOWN_NAMES:] else "")
                raise ConflictError(
                    f"{name} owns repositories: {shown}",
                    hint="give them to others first, or disable the account",
                )
            connection.execute(delete(ACCOUNTS).where(ACCOUNTS.c.id == account.id))
            self.demand_admin_left(connection, account)

    def add_member(self, group: str, user: str) -> None:
        """Make a user a member of a group; nothing happens if it is one."""
        with self.database.writing() as connection:
            found, member = self.read_group(connection, group), self.read(connection, user)
            if member.kind != USER:
                raise InvalidError(f"{user} is a group, which cannot be a member of another")
            insert_new(connection, MEMBERS, {"group_id": found.id, "account_id": member.id})

    def remove_member(self, group: str, user: str) -> None:
        """Take a user out of a group. Raises `AbsentError` if it is no member."""
        with self.database.writing() as connection:
            found, member = self.read_group(connection, group), self.read(connection, user)
            wanted = (MEMBERS.c.group_id == found.id, MEMBERS.c.account_id == member.id)
            if not connection.execute(delete(MEMBERS).where(*wanted)).rowcount:
                raise AbsentError(f"{user} is no member of {group}")

    def read_group(self, connection: Connection, name: str) -> Account:
        """Return a group. Raises `AbsentError`."""
        account = self.read(connection, name)
        if account.kind != GROUP:
            raise AbsentError(f"there is no group {name!r}")
        return account

    def check_password(self, name: str, password: str) -> Account | None:
        """Return the user if the password is right; it takes as long if there is no such user."""
        with self.database.reading() as connection:
            found = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name)).first()
        known = found.password if found else None
        is_right = self.passwords.is_right(known, password)
        if found is None or known is None or not is_right or found.disabled_s is not None:
            return None
        if self.passwords.is_outdated(known):
            self.renew_hash(found.id, known, password)
        return make_account(found)

    def renew_hash(self, account_id: int, known: str, password: str) -> None:
        """Hash a password with today's costs, unless it has been changed meanwhile."""
        change = update(ACCOUNTS).where(ACCOUNTS.c.id == account_id, ACCOUNTS.c.password == known)
        new = self.passwords.hash(password)
        with self.database.writing() as connection:
            connection.execute(change.values(password=new))

    def viewer_of(
        self,
        account: Account,
        scopes: Iterable[str] = SCOPES,
        repository: str | None = None,
        address: str = "",
    ) -> Viewer:
        """Return who a request of the account is by."""
        return make_viewer(account, self.groups(account), scopes, repository, address)


def make_viewer(
    account: Account,
    groups: dict[int, str],
    scopes: Iterable[str],
    repository: str | None,
    address: str,
) -> Viewer:
    """Return the viewer of an account. An administrator is one only with the scope `admin`, and
    not with a token for one repository."""
    chosen = frozenset(scopes)
    return Viewer(
        name=account.name,
        account_id=account.id,
        scopes=chosen,
        groups=frozenset(groups.values()),
        group_ids=frozenset(groups),
        is_admin=account.is_admin and ADMIN in chosen and repository is None,
        repository=repository,
        address=address,
    )


def make_account(row: Any) -> Account:
    """Return the account of a row."""
    return Account(
        row.id, row.name, row.kind, row.password is not None, row.public_key, row.subject,
        row.is_admin, row.quota_bytes, row.created_s, row.disabled_s,
    )  # fmt: skip


@contextlib.contextmanager
def no_twin(what: str) -> Iterator[None]:
    """Raise `ConflictError` if the database refuses a value that another row has."""
    try:
        yield
    except IntegrityError as error:
        raise ConflictError(f"this is {what}") from error


def check_key(public_key: str | None) -> str | None:
    """Return a public key that is one. Raises `InvalidError`."""
    if public_key is not None and not PUBLIC_KEY.fullmatch(public_key):
        raise InvalidError(f"a public key is {2 * KEY_BYTES} hex digits, in lower case")
    return public_key


def check_subject(subject: str | None) -> str | None:
    """Return a subject that can be kept. Raises `InvalidError`."""
    if subject is not None and not (
        0 < len(subject) <= SUBJECT_MAX_CHARS and subject.isprintable()
    ):
        raise InvalidError(f"a subject is up to {SUBJECT_MAX_CHARS} printable characters")
    return subject


def check_quota(quota_bytes: int | None) -> int | None:
    """Return a number of bytes; None is the hub's default. Raises `InvalidError`."""
    if quota_bytes is not None and not 0 <= quota_bytes <= MAX_QUOTA_BYTES:
        raise InvalidError("a quota is a number of bytes")
    return quota_bytes


CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "public_key": check_key,
    "subject": check_subject,
    "is_admin": bool,
    "quota_bytes": check_quota,
}
