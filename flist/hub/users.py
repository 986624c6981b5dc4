"""Users of a hub: passwords in a file, and tokens that need no memory.

    NAME:<scrypt salt, base64>:<scrypt hash, base64>      one a line, `#` starts a comment

A token is a JWT (HS256: RFC 7519, 7515) with `exp`, `iat` and `username`, as upstream's server
gives out. It is signed with a key made from the whole file: every copy of a hub with the same file
takes it, and changing the file ends all tokens.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import threading
from pathlib import Path
from typing import Any

from common.errors import UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
TOKEN_S = 24 * 3600
MAX_TOKEN = 4096
MAX_PASSWORD = 1024
SALT_BYTES = 16
HASH_BYTES = 32
SCRYPT = {"n": 1 << 14, "r": 8, "p": 1, "maxmem": 64 << 20, "dklen": HASH_BYTES}
HEADER = {"alg": "HS256", "typ": "JWT"}


def hash_password(password: str, salt: bytes) -> bytes:
    """Return scrypt of a password."""
    return hashlib.scrypt(password.encode(), salt=salt, **SCRYPT)


def user_line(name: str, password: str) -> str:
    """Return the line of the users' file for a user, without its newline."""
    if not NAME.fullmatch(name):
        raise UsageError(f"cannot use {name!r} as a user's name", hint="letters, digits, . _ @ + -")
    if not 8 <= len(password) <= MAX_PASSWORD:
        raise UsageError("cannot use a password of less than 8 characters")
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
    """Who may sign in. One password is checked at a time: guessing can't use up the machine."""

    def __init__(self, text: str = "") -> None:
        self.known = parse_users(text)
        self.key = hashlib.blake2b(text.encode(), person=b"zos-hub-token").digest()
        self.lock = threading.Lock()

    @classmethod
    def read(cls, path: Path) -> "Users":
        """Read a users' file; raises `UsageError`."""
        try:
            users = cls(path.read_text())
        except OSError as error:
            raise UsageError(f"cannot read users {path}: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"cannot read users {path}: it is no text") from error
        except UsageError as error:
            raise UsageError(
                f"cannot read users {path}: {error.message}", hint=error.hint
            ) from error
        if not users.known:
            raise UsageError(f"cannot read users {path}: none", hint="`zos hub user NAME >> FILE`")
        return users

    def is_password(self, name: str, password: str) -> bool:
        """Whether this is the user's password; as slow for a name that is not known."""
        salt, expected = self.known.get(name, (bytes(SALT_BYTES), b""))
        if len(password) > MAX_PASSWORD:
            return False
        with self.lock:
            found = hash_password(password, salt)
        return hmac.compare_digest(found, expected)

    def make_token(self, name: str, now_s: float) -> str:
        """Return a token for a user."""
        claims = {"exp": int(now_s) + TOKEN_S, "iat": int(now_s), "username": name}
        body = f"{pack(HEADER)}.{pack(claims)}"
        return f"{body}.{self.sign(body)}"

    def sign(self, body: str) -> str:
        """Return the third part of a token."""
        return encode(hmac.digest(self.key, body.encode(), "sha256"))

    def user_of(self, token: str, now_s: float) -> str | None:
        """Return whose token this is, or None for one that is not ours or ran out."""
        if not self.known or len(token) > MAX_TOKEN or not token.isascii() or token.count(".") != 2:
            return None
        body, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature, self.sign(body)):
            return None
        claims: Any = json.loads(decode(body.partition(".")[2]))  # we wrote it ourselves
        name = str(claims["username"])
        return name if name in self.known and now_s < claims["exp"] else None


def pack(value: object) -> str:
    """Return one part of a token."""
    return encode(json.dumps(value, separators=(",", ":")).encode())


def encode(data: bytes) -> str:
    """Return base64 for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return what `encode` was given."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
