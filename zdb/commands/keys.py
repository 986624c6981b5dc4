"""SET, GET and the other commands about single keys."""

from zdb.commands.client import Client
from zdb.commands.command import need_values
from zdb.commands.service import Service
from zdb.errors import DamagedError, RefusedError
from zdb.protocol import replies
from zdb.protocol.requests import Request
from zdb.storage.keys import Found
from zdb.storage.namespace import Namespace
from zdb.values import MAX_KEY

FROZEN = "Namespace is temporarily frozen (read-write disabled)"
LOCKED = "Namespace is temporarily locked (read-only)"
READ_ONLY = "Namespace is in read-only mode"
MAX_TIME = 0xFFFFFFFF
MAX_REPLY = 64 << 20
"""Bytes of all values that one MGET returns."""


def readable(client: Client) -> Namespace:
    """Return the client's namespace; raise if nobody may read there."""
    namespace = client.namespace
    if namespace is None or namespace.frozen:
        raise RefusedError(FROZEN)
    return namespace


def writable(client: Client) -> Namespace:
    """Return the client's namespace; raise if the client may not change it."""
    namespace = client.namespace
    if not client.is_writable:
        raise RefusedError(READ_ONLY)
    if namespace is None or namespace.frozen:
        raise RefusedError(FROZEN)
    if namespace.locked:
        raise RefusedError(LOCKED)
    return namespace


def check_key(key: bytes) -> bytes:
    """Return a key; raise if it can't be one."""
    if not key:
        raise RefusedError("Invalid argument")
    if len(key) > MAX_KEY:
        raise RefusedError("Invalid key")
    return key


def check_time(service: Service, client: Client, text: bytes) -> int:
    """Return the time that an administrator sets, in seconds.

    As upstream takes it: what is no number is 0.
    """
    if not client.is_admin:
        service.stats.unauthorized += 1
        raise RefusedError("Permission denied")
    if not text.lstrip(b"-").isdigit():
        return 0
    if text.startswith(b"-") or len(text) > 10 or int(text) > MAX_TIME:
        raise RefusedError("Invalid timestamp")
    return int(text)


def set_value(service: Service, client: Client, request: Request) -> bytes:
    """SET key value [time]: the key, or nil if that is the value already."""
    stamp = None if len(request) == 3 else check_time(service, client, request[3])
    key = request[1]
    if len(key) > MAX_KEY:
        raise RefusedError("Key too large")
    namespace = client.namespace
    if not client.is_writable or namespace is None or namespace.frozen or namespace.locked:
        namespace = writable(client)
    if namespace.worm and key and namespace.entry(key):
        raise RefusedError("Namespace is protected by worm mode")
    key_set = namespace.set(key, request[2], stamp)
    if key_set is None:
        return replies.NIL
    client.written.append((len(client.replies), namespace))
    return b"$%d\r\n%b\r\n" % (len(key_set), key_set)


def get(service: Service, client: Client, request: Request) -> bytes:
    """GET key: its value, or nil."""
    del service
    key = request[1]
    if not 0 < len(key) <= MAX_KEY:
        check_key(key)
    namespace = client.namespace
    if namespace is None or namespace.frozen:
        namespace = readable(client)
    value = namespace.get(key)
    return replies.NIL if value is None else b"$%d\r\n%b\r\n" % (len(value), value)


def get_many(service: Service, client: Client, request: Request) -> bytes:
    """MGET key ...: an array of values and nils."""
    del service
    namespace = readable(client)
    if any(len(key) > MAX_KEY for key in request[1:]):
        raise RefusedError("Invalid key")
    found = [namespace.entry(key) for key in request[1:]]
    if sum(one.record.length for one in found if one) > MAX_REPLY:
        raise RefusedError("Values too big for one reply")
    return replies.array(
        replies.NIL if one is None else replies.bulk(namespace.value(one)) for one in found
    )


def delete(service: Service, client: Client, request: Request) -> bytes:
    """DEL key [time]."""
    stamp = None if len(request) == 2 else check_time(service, client, request[2])
    key = check_key(request[1])
    namespace = writable(client)
    if namespace.worm:
        raise RefusedError("Cannot delete a key when namespace is in worm mode")
    if not namespace.delete(key, stamp):
        raise RefusedError("Key not found")
    client.written.append((len(client.replies), namespace))
    return replies.OK


def find(client: Client, request: Request) -> Found | None:
    """Return where the current value of a request's key is."""
    need_values(request)
    key = check_key(request[1])
    return readable(client).entry(key)


def exists(service: Service, client: Client, request: Request) -> bytes:
    """EXISTS key: 1 or 0."""
    del service
    return replies.ONE if find(client, request) else replies.ZERO


def check(service: Service, client: Client, request: Request) -> bytes:
    """CHECK key: 1 if the value is as it was written, 0 if it is damaged, nil without one."""
    found = find(client, request)
    if found is None:
        return replies.NIL
    try:
        readable(client).value(found)
    except DamagedError as error:
        service.log(error.message)
        service.stats.read_errors += 1
        return replies.ZERO
    return replies.ONE


def length(service: Service, client: Client, request: Request) -> bytes:
    """LENGTH key: the bytes of its value, or nil."""
    del service
    found = find(client, request)
    return replies.NIL if found is None else replies.number(found.record.length)


def key_time(service: Service, client: Client, request: Request) -> bytes:
    """KEYTIME key: when it was set, or nil."""
    del service
    found = find(client, request)
    return replies.NIL if found is None else replies.number(found.record.time)


def key_cursor(service: Service, client: Client, request: Request) -> bytes:
    """KEYCUR key: a cursor from which SCAN and RSCAN go on."""
    del service
    need_values(request)
    cursor = readable(client).cursor(check_key(request[1]))
    if cursor is None:
        raise RefusedError("Key not found")
    return replies.bulk(cursor)
