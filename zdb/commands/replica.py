"""REPLICA: what a replica asks its master, and what an administrator asks a replica.

Not a command of upstream. STATE and READ are sent by our own replicas: `zdb/replicate/master.py`.
"""

from zdb.commands.client import Client
from zdb.commands.service import Service
from zdb.errors import RefusedError
from zdb.protocol import replies
from zdb.protocol.requests import Request
from zdb.storage import copying
from zdb.storage.copying import Place

MAX_READ = 16 << 20
NUMBER_DIGITS = 12
UNKNOWN = "Unknown REPLICA subcommand"


def run(service: Service, client: Client, request: Request) -> bytes:
    """REPLICA STATE token, REPLICA READ name file offset digest size, STATUS, PROMOTE."""
    del client
    word, arguments = request[1].upper(), request[2:]
    if word == b"STATE" and len(arguments) == 1:
        return state(service, arguments[0])
    if word == b"READ" and len(arguments) == 5:
        return read(service, *arguments)
    if word == b"STATUS" and not arguments:
        return replies.array(map(replies.text, service.role.status()))
    if word == b"PROMOTE" and not arguments:
        service.role.promote()
        return replies.OK
    raise RefusedError(UNKNOWN)


def state(service: Service, token: bytes) -> bytes:
    """Return how far all namespaces are, or nil if nothing has changed since the token."""
    now = copying.token_of(service.store)
    if token == now.encode():
        return replies.NIL
    rows = []
    for namespace in service.store.namespaces.values():
        one = copying.state_of(namespace)
        descriptor = replies.bulk(one.descriptor.pack())
        words = map(replies.text, (one.name, one.mode, one.incarnation))
        numbers = map(replies.number, (one.file_id, one.offset, one.total))
        rows.append(replies.array((*words, descriptor, *numbers)))
    return replies.array((replies.text(now), replies.array(rows)))


def read(service: Service, name: bytes, *words: bytes) -> bytes:
    """Return a word and bytes: what comes after a place in the data files."""
    namespace = service.store.namespaces.get(name.decode("utf-8", "surrogateescape"))
    if namespace is None:
        raise RefusedError("Namespace not found")
    if not all(word.isdigit() and len(word) <= NUMBER_DIGITS for word in words):
        raise RefusedError("Invalid arguments")
    file_id, offset, digest, size = map(int, words)
    word, blob = copying.read(namespace, Place(file_id, offset, digest), min(size, MAX_READ))
    return replies.array((replies.text(word), replies.bulk(blob)))
