"""Signing in with an Ed25519 key: the hub gives out a nonce, and the user signs it, once.

What is signed names this purpose, the hub's address, the account and the nonce: a hub that passes
on another hub's nonce gets a signature that the other one refuses.
"""

import binascii
import secrets
import time
from collections.abc import Callable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import delete, insert, select

from flist.hub.accounts.accounts import Account, make_account
from flist.hub.state.tables import ACCOUNTS, CHALLENGES
from flist.server.signin import signed_message
from serving.database import Database

NONCE_BYTES = 32
VALID_S = 60.0
NO_KEY = "00" * 32


class Challenges:
    """The nonces of one hub."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self.clock = clock

    def issue(self, name: str) -> str:
        """Return a new nonce for an account, also for one that does not exist."""
        now_s, nonce = self.clock(), secrets.token_hex(NONCE_BYTES)
        row = {"nonce": nonce, "account": name, "expires_s": now_s + VALID_S}
        with self.database.writing() as connection:
            connection.execute(delete(CHALLENGES).where(CHALLENGES.c.expires_s < now_s))
            connection.execute(insert(CHALLENGES).values(row))
        return nonce

    def find_signer(self, name: str, nonce: str, signature: str, host: str) -> Account | None:
        """Return the account if `signature` (hex) is its own, of its nonce, for this hub.

        The nonce can't be used again, whatever comes of it.
        """
        is_fresh = self.use(name, nonce)
        with self.database.reading() as connection:
            found = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name)).first()
        key = found.public_key if found and found.public_key else NO_KEY
        is_signed = is_signed_by(key, signature, signed_message(host, name, nonce))
        if not is_fresh or not is_signed or found is None or key == NO_KEY:
            return None
        return None if found.disabled_s is not None else make_account(found)

    def use(self, name: str, nonce: str) -> bool:
        """Remove a nonce; return whether it was there, valid, and for this account."""
        mine = (CHALLENGES.c.nonce == nonce, CHALLENGES.c.account == name)
        with self.database.writing() as connection:
            valid = connection.execute(select(CHALLENGES.c.expires_s).where(*mine)).scalar()
            removed = connection.execute(delete(CHALLENGES).where(*mine)).rowcount
        return bool(removed) and valid is not None and valid > self.clock()


def is_signed_by(key: str, signature: str, message: bytes) -> bool:
    """Return whether `signature` (hex) over the message is by the public key (hex)."""
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        public.verify(binascii.unhexlify(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
