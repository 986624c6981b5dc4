"""Users of a hub: passwords in a file, and tokens that the hub does not have to store.

    NAME:<scrypt salt, base64>:<scrypt hash, base64>      one per line, `#` starts a comment

A token is a JWT (HS256: RFC 7519, 7515) with `exp`, `iat` and `username`, as upstream's server
issues it. The key is derived from the whole file: every copy of a hub with the same file accepts
the token, and a change of the file invalidates all tokens.
"""

import base64
import binascii
import hashlib
import hmac
import os
import re
from pathlib import Path

import jwt

from common.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
TOKEN_S = 24 * 3600
MAX_TOKEN = 4096
MAX_PASSWORD = 1024
SALT_BYTES = 16
HASH_BYTES = 32
SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": HASH_BYTES}
ALGORITHM = "HS256"
CLAIMS = ["exp", "iat", "username"]


def hash_password(password: str, salt: bytes) -> bytes:
    """Return scrypt of a password."""
    return hashlib.scrypt(password.encode(), salt=salt, **SCRYPT)


def user_line(name: str, password: str) -> str:
    """Return the line of the users' file for a user, without its newline."""
    if not NAME.fullmatch(name):
        raise UsageError(f"cannot use {name!r} as a user's name", hint="letters, digits, . _ @ + -")
    if not 8 <= len(password) <= MAX_PASSWORD:
        raise UsageError("cannot use a password of less than 8 characters")
    if any("\ud800" <= character <= "\udfff" for character in password):
        raise UsageError("cannot use the password: it is not UTF-8")
    salt = os.urandom(SALT_BYTES)
    parts = (salt, hash_password(password, salt))
    return ":".join([name, *(base64.b64encode(part).decode() for part in parts)])


def parse_users(text: str) -> dict[str, tuple[bytes, bytes]]:
    """Return salt and hash by user; raises `UsageError`."""
    users = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip().split(":")
        if words == [""]:
            continue
        try:
            name, salt, expected = (
                words[0],
                *(base64.b64decode(w, validate=True) for w in words[1:]),
            )
        except (ValueError, binascii.Error):
            name, salt, expected = "", b"", b""
        if not NAME.fullmatch(name) or len(salt) != SALT_BYTES or len(expected) != HASH_BYTES:
            raise UsageError(f"line {number} is not a user", hint="`zos hub user NAME` makes one")
        users[name] = (salt, expected)
    return users


class Users:
    """The users who may sign in. The caller limits how many passwords are checked at once."""

    def __init__(self, text: str = "") -> None:
        self.known = parse_users(text)
        self.key = hashlib.blake2b(text.encode(), person=b"zos-hub-token").digest()

    @classmethod
    def read(cls, path: Path) -> "Users":
        """Read a users' file; raises `UsageError`."""
        try:
            users = cls(path.read_text())
        except OSError as error:
            raise UsageError(f"cannot read users {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"cannot read users {path}: it is not text") from error
        except UsageError as error:
            raise UsageError(
                f"cannot read users {path}: {error.message}", hint=error.hint
            ) from error
        if not users.known:
            raise UsageError(f"cannot read users {path}: none", hint="`zos hub user NAME >> FILE`")
        return users

    def is_password(self, name: str, password: str) -> bool:
        """Return whether this is the user's password; an unknown name takes the same time."""
        salt, expected = self.known.get(name, (bytes(SALT_BYTES), b""))
        if len(password) > MAX_PASSWORD:
            return False
        return hmac.compare_digest(hash_password(password, salt), expected)

    def make_token(self, name: str, now_s: float) -> str:
        """Return a token for a user."""
        claims = {"exp": int(now_s) + TOKEN_S, "iat": int(now_s), "username": name}
        return jwt.encode(claims, self.key, ALGORITHM)

    def user_of(self, token: str, now_s: float) -> str | None:
        """Return the user of a token; None for one that is not this hub's, or has expired."""
        if not self.known or len(token) > MAX_TOKEN or not token.isascii():
            return None
        # `now_s` is the caller's clock, so the expiry is checked here.
        try:
            claims = jwt.decode(
                token,
                self.key,
                [ALGORITHM],
                options={"require": CLAIMS, "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        name, times = claims["username"], (claims["exp"], claims["iat"])
        if not isinstance(name, str) or not all(isinstance(at, int) for at in times):
            return None
        if now_s >= claims["exp"]:
            return None
        # Base64 has several spellings of the same bytes; only the one that was issued is accepted.
        is_issued = token == jwt.encode(claims, self.key, ALGORITHM)
        return name if is_issued and name in self.known else None
