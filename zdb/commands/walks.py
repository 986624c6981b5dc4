"""SCAN, HISTORY and the other commands that walk over a namespace."""

from zdb.commands.client import Client
from zdb.commands.keys import readable
from zdb.commands.service import Service
from zdb.errors import RefusedError
from zdb.protocol import replies
from zdb.protocol.requests import Request
from zdb.storage import scan as storage
from zdb.values import MAX_KEY


def scan(service: Service, client: Client, request: Request) -> bytes:
    """SCAN [cursor]: keys in the order of their last change."""
    del service
    return page(client, request, forward=True)


def scan_back(service: Service, client: Client, request: Request) -> bytes:
    """RSCAN [cursor]: the same from the end."""
    del service
    return page(client, request, forward=False)


def page(client: Client, request: Request, *, forward: bool) -> bytes:
    """Return a cursor and some keys, each with the length of its value and its time."""
    cursor = request[1] if len(request) > 1 else None
    found = storage.scan(readable(client), cursor, forward)
    if found is None:
        raise RefusedError("No more data")
    rows = (
        b"*3\r\n$%d\r\n%b\r\n:%d\r\n:%d\r\n" % (len(key), key, length, time)
        for key, length, time in found.items
    )
    return b"*2\r\n%b%b" % (replies.bulk(found.cursor), replies.array(rows))


def scan_prefix(service: Service, client: Client, request: Request) -> bytes:
    """KSCAN prefix: all keys that begin so; a debug server only, for it visits every key."""
    if not service.rules.is_debug:
        raise RefusedError("Command disabled in release code, not yet available")
    if len(request) != 2:
        raise RefusedError("Unexpected arguments")
    namespace, keys = readable(client), list[bytes]()
    found = storage.scan(namespace, None)
    while found is not None:
        keys += [key for key, _, _ in found.items if key.startswith(request[1])]
        found = storage.scan(namespace, found.cursor)
    if not keys:
        raise RefusedError("No keys match")
    return replies.array((replies.bulk(b"0"), replies.array(map(replies.bulk, keys))))


def history(service: Service, client: Client, request: Request) -> bytes:
    """HISTORY key [link]: a link to the version before, the time and the value of this one."""
    del service
    namespace = readable(client)
    if len(request[1]) > MAX_KEY:
        raise RefusedError("Invalid key")
    version = storage.history(namespace, request[1], request[2] if len(request) > 2 else None)
    time, value = replies.bulk(b"%d" % version.time), replies.bulk(version.value)
    return replies.array((replies.bulk_or_nil(version.link), time, value))


def index(service: Service, client: Client, request: Request) -> bytes:
    """INDEX DIRTY [RESET]: numbers of the index files with entries that were changed."""
    del service
    namespace = client.namespace
    words = [word.upper() for word in request[1:]]
    if words[0] != b"DIRTY":
        raise RefusedError("Unknown INDEX subcommand")
    if namespace is None or words[1:] not in ([], [b"RESET"]):
        raise RefusedError("Unknown INDEX DIRTY subcommand")
    dirty = namespace.index.dirty
    if len(words) == 1:
        return replies.array(map(replies.number, sorted(dirty)))
    dirty.clear()
    return replies.OK


def data(service: Service, client: Client, request: Request) -> bytes:
    """DATA RAW file offset: a record: key, offset of the record before, CRC, flags, time, value."""
    del service
    if request[1].upper() != b"RAW":
        raise RefusedError("Unknown DATA subcommand")
    if len(request) != 4:
        raise RefusedError("Missing arguments")
    place = request[2:]
    if not all(word.isdigit() and len(word) < 12 for word in place):
        raise RefusedError("Invalid Request")
    raw = storage.raw(readable(client), int(place[0]), int(place[1]))
    numbers = (raw.flags, raw.time)
    head = replies.bulk(raw.key), replies.number(raw.previous), replies.text(f"{raw.crc:#010x}")
    return replies.array((*head, *map(replies.number, numbers), replies.bulk(raw.value)))
