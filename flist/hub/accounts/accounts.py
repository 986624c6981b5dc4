"""The accounts of a hub: users, with a password, and groups of them."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import insert, select

from flist.hub.accounts.names import MAX_PASSWORD, MIN_PASSWORD, NAME
from flist.hub.errors import ConflictError, InvalidError
from flist.hub.state.tables import ACCOUNTS, MEMBERS
from flist.hub.state.viewer import SCOPES, Viewer
from serving.database import Database, insert_new


@dataclass(frozen=True, slots=True)
class Account:
    """A user or a group."""

    id: int
    name: str
    kind: str
    password: str | None
    is_admin: bool
    quota_bytes: int | None
    is_disabled: bool


class Accounts:
    """The accounts."""

    hasher = PasswordHasher()

    def __init__(self, database: Database) -> None:
        self.database = database

    def create(
        self,
        name: str,
        *,
        kind: str = "user",
        password: str | None = None,
        public_key: str | None = None,
        is_admin: bool = False,
    ) -> Account:
        """Make an account. Raises `InvalidError`, and `ConflictError` if the name is taken."""
        if not NAME.fullmatch(name):
            raise InvalidError(f"cannot use {name!r} as a name", hint="letters, digits, . _ -")
        if password is not None and not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
            raise InvalidError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
        values = {"name": name, "kind": kind, "public_key": public_key, "is_admin": is_admin,
                  "password": self.hasher.hash(password) if password else None,
                  "created_s": time.time()}  # fmt: skip
        with self.database.writing() as connection:
            if not insert_new(connection, ACCOUNTS, values):
                raise ConflictError(f"the account {name} is there already")
        found = self.find(name)
        assert found is not None
        return found

    def find(self, name: str) -> Account | None:
        """Return an account, or None."""
        with self.database.reading() as connection:
            row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name)).first()
        return None if row is None else make_account(row)

    def list(self) -> list[Account]:
        """Return all accounts."""
        with self.database.reading() as connection:
            rows = connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.name)).all()
        return [make_account(row) for row in rows]

    def add_member(self, group: str, user: str) -> None:
        """Make a user a member of a group."""
        pair = self.find(group), self.find(user)
        if pair[0] is None or pair[1] is None:
            raise InvalidError("no such user or group")
        with self.database.writing() as connection:
            values = {"group_id": pair[0].id, "account_id": pair[1].id}
            connection.execute(insert(MEMBERS).values(values))

    def check_password(self, name: str, password: str) -> Account | None:
        """Return the account if this is its password."""
        account = self.find(name)
        if account is None or not account.password or account.is_disabled:
            return None
        try:
            self.hasher.verify(account.password, password)
        except (VerificationError, InvalidHashError):
            return None
        return account

    def viewer_of(
        self,
        account: Account,
        scopes: Iterable[str] = SCOPES,
        repository: str | None = None,
        address: str = "",
    ) -> Viewer:
        """Return what a request of this account may do."""
        joined = select(ACCOUNTS.c.id, ACCOUNTS.c.name).join(
            MEMBERS, MEMBERS.c.group_id == ACCOUNTS.c.id
        )
        with self.database.reading() as connection:
            rows = connection.execute(joined.where(MEMBERS.c.account_id == account.id)).all()
        return Viewer(
            account.name,
            account.id,
            frozenset(scopes),
            frozenset(row.name for row in rows),
            frozenset(row.id for row in rows),
            account.is_admin,
            repository,
            address,
        )


def make_account(row: Any) -> Account:
    """Return what a row says."""
    return Account(row.id, row.name, row.kind, row.password, row.is_admin, row.quota_bytes,
                   row.disabled_s is not None)  # fmt: skip
