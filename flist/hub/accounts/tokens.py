"""The tokens of accounts: `zos_ID_SECRET`; the database has the secret's SHA-256 only."""

import hmac
import secrets
import time
from collections.abc import Iterable

from sqlalchemy import insert, select, update

from flist.hub.accounts.accounts import Account, Accounts, make_account
from flist.hub.errors import NotSignedInError
from flist.hub.state.tables import ACCOUNTS, TOKENS
from flist.hub.state.viewer import Viewer
from serving.database import Database
from serving.tokens import TOKEN, digest_of

DAY_S = 86400


class Tokens:
    """The tokens."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self.database = database
        self.accounts = accounts

    def create(
        self,
        account: Account,
        name: str,
        scopes: Iterable[str],
        days: float = 0,
        repository: str | None = None,
    ) -> str:
        """Return the text of a new token; 0 days: it does not expire."""
        mark, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
        now_s = time.time()
        values = {
            "id": mark,
            "account_id": account.id,
            "name": name,
            "digest": digest_of(secret),
            "scopes": " ".join(sorted(scopes)),
            "repository": repository,
            "created_s": now_s,
            "expires_s": now_s + days * DAY_S if days else None,
        }
        with self.database.writing() as connection:
            connection.execute(insert(TOKENS).values(values))
        return f"zos_{mark}_{secret}"

    def revoke(self, account: Account, mark: str) -> bool:
        """Make a token invalid."""
        mine = (TOKENS.c.id == mark) & (TOKENS.c.account_id == account.id)
        with self.database.writing() as connection:
            change = update(TOKENS).where(mine).values(revoked_s=time.time())
            return connection.execute(change).rowcount > 0

    def find_viewer(self, text: str, address: str = "") -> Viewer:
        """Return whose token this is. Raises `NotSignedInError`."""
        parts = TOKEN.fullmatch(text)
        if parts is None:
            raise NotSignedInError("this is not a token")
        with self.database.reading() as connection:
            row = connection.execute(select(TOKENS).where(TOKENS.c.id == parts[1])).first()
            mine = ACCOUNTS.c.id == (row.account_id if row else 0)
            owner = connection.execute(select(ACCOUNTS).where(mine)).first()
        if row is None or owner is None or not hmac.compare_digest(row.digest, digest_of(parts[2])):
            raise NotSignedInError("there is no such token")
        is_over = row.expires_s is not None and time.time() >= row.expires_s
        if is_over or row.revoked_s is not None or owner.disabled_s is not None:
            raise NotSignedInError("the token has expired, or was revoked")
        scopes = row.scopes.split()
        return self.accounts.viewer_of(make_account(owner), scopes, row.repository, address)
