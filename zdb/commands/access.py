"""AUTH and SELECT: who a client is, and where it works.

A client can show that it knows a password without sending it: it asks for a challenge and answers
with the SHA-1, in hexadecimal digits, of challenge, colon and password. Source: `zdbd/auth.c` of
threefoldtech/0-db 2.0.7.
"""

import hmac
import secrets
from hashlib import sha1

from zdb.commands.client import Client
from zdb.commands.command import need_values
from zdb.commands.service import Service
from zdb.errors import RefusedError
from zdb.protocol import replies
from zdb.protocol.requests import Request
from zdb.storage.namespace import Namespace

MAX_NAME = 128
MAX_PASSWORD = 128
MAX_SELECT_PASSWORD = 255
HASH_DIGITS = 40
DENIED = "Access denied"
NO_CHALLENGE = "No CHALLENGE requested, secure authentication not available"
ONLY_SECURE = "Only SECURE extra method supported"


def name_of(word: bytes) -> str:
    """Return a namespace's name as a client sends it."""
    if len(word) > MAX_NAME:
        raise RefusedError("Namespace too long")
    return word.decode("utf-8", "surrogateescape")


def named(service: Service, word: bytes) -> Namespace:
    """Return the namespace of a name."""
    namespace = service.store.namespaces.get(name_of(word))
    if namespace is None:
        raise RefusedError("Namespace not found")
    return namespace


def is_password(given: bytes, wanted: bytes) -> bool:
    """Compare passwords in a time that tells nothing."""
    return hmac.compare_digest(given, wanted)


def is_answer(client: Client, given: bytes, password: bytes) -> bool:
    """Return whether a client answers its challenge."""
    if client.nonce is None:
        raise RefusedError(NO_CHALLENGE)
    if len(given) != HASH_DIGITS:
        raise RefusedError("Invalid hash length")
    digest = sha1(client.nonce + b":" + password, usedforsecurity=False).hexdigest()
    return is_password(given.lower(), digest.encode())


def authenticate(service: Service, client: Client, request: Request) -> bytes:
    """AUTH password, AUTH SECURE CHALLENGE, AUTH SECURE hash: become an administrator."""
    wanted = service.rules.admin
    if len(request) == 3 and request[1].upper() != b"SECURE":
        raise RefusedError(ONLY_SECURE)
    if len(request) == 3 and request[2].upper() == b"CHALLENGE":
        client.nonce = secrets.token_hex(8).encode()
        return b"+%b\r\n" % client.nonce
    if not wanted:
        raise RefusedError("Authentication disabled")
    need_values(request)
    if len(request) == 3:
        is_right = is_answer(client, request[2], wanted)
        client.nonce = None
    else:
        if len(request[1]) > MAX_PASSWORD:
            raise RefusedError("Password too long")
        is_right = is_password(request[1], wanted)
    if not is_right:
        service.stats.unauthorized += 1
        raise RefusedError(DENIED)
    client.is_admin = True
    return replies.OK


def select(service: Service, client: Client, request: Request) -> bytes:
    """SELECT namespace [password], SELECT namespace SECURE hash: work there."""
    namespace = named(service, request[1])
    may_write = True
    if namespace.password:
        may_write = is_let_in(service, client, namespace, request[2:])
    client.namespace = namespace
    client.is_writable = may_write
    return replies.OK


def is_let_in(
    service: Service, client: Client, namespace: Namespace, words: tuple[bytes, ...]
) -> bool:
    """Return whether a client may write where a password is needed; raise if it may not enter."""
    if not words:
        if not namespace.public:
            raise RefusedError("Namespace protected and private")
        return False
    if len(words) > 2:
        raise RefusedError("Too many arguments")
    if len(words) == 2:
        if words[0].upper() != b"SECURE":
            raise RefusedError(ONLY_SECURE)
        is_right = is_answer(client, words[1], namespace.password)
    else:
        if len(words[0]) > MAX_SELECT_PASSWORD:
            raise RefusedError("Password too long")
        is_right = is_password(words[0], namespace.password)
    if not is_right:
        service.stats.unauthorized += 1
        raise RefusedError(DENIED)
    if len(words) == 2:
        client.nonce = None
    return True
