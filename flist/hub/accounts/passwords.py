"""Passwords, hashed by Argon2id.

A check takes about 40 ms of one processor and 19 MiB, whosever password it is: also for a name
that does not exist. The caller limits how many are checked at once.
"""

import secrets
from functools import cached_property

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from flist.hub.accounts.names import MAX_PASSWORD, MIN_PASSWORD
from flist.hub.errors import InvalidError


class Passwords:
    """Hashes passwords and checks them; tests set cheaper costs."""

    time_cost = 2
    memory_kib = 19 << 10  # both as OWASP recommends, for one lane

    def __init__(self) -> None:
        self.hasher = PasswordHasher(self.time_cost, self.memory_kib, parallelism=1)

    @cached_property
    def decoy(self) -> str:
        """The hash of a password that nobody has."""
        return self.hasher.hash(secrets.token_hex())

    def hash(self, password: str) -> str:
        """Return what the database keeps. Raises `InvalidError`."""
        check_password(password)
        return self.hasher.hash(password)

    def is_right(self, known: str | None, password: str) -> bool:
        """Return whether the hash `known` is of this password; None is of no password."""
        expected = (self.decoy, known)[known is not None]  # the decoy is made, whoever is asked for
        try:
            check_password(password)
            is_match = self.hasher.verify(expected or "", password)
        except (Argon2Error, InvalidHashError, InvalidError):
            return False
        return is_match and known is not None

    def is_outdated(self, known: str) -> bool:
        """Return whether a hash was made with other costs than today's."""
        return self.hasher.check_needs_rehash(known)


def check_password(password: str) -> None:
    """Raise `InvalidError` for a text that can't be a password."""
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise InvalidError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    if any("\ud800" <= character <= "\udfff" for character in password):
        raise InvalidError("a password is UTF-8 text")
