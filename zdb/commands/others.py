"""WAIT, MIRROR and MASTER: commands about what other clients do."""

import time

from zdb.commands.client import Client, Wait
from zdb.commands.service import Service
from zdb.errors import RefusedError
from zdb.protocol import replies
from zdb.protocol.requests import Request

ANYTHING = b"*"
MIN_WAIT_MS, MAX_WAIT_MS, DEFAULT_WAIT_MS = 100, 30 * 60 * 1000, 5000


def wait(service: Service, client: Client, request: Request) -> bytes | None:
    """WAIT command [milliseconds]: its name, when another client runs it in this namespace."""
    name = request[1].upper()
    if name != ANYTHING and name not in service.table:
        raise RefusedError("Unknown command to watch")
    word = request[2] if len(request) > 2 else b"%d" % DEFAULT_WAIT_MS
    if not word.isdigit() or len(word) > 16 or not MIN_WAIT_MS <= int(word) <= MAX_WAIT_MS:
        raise RefusedError("Invalid timeout")
    if client.namespace is None:
        raise RefusedError("Namespace not found")
    deadline = time.monotonic() + int(word) / 1000
    wanted = None if name == ANYTHING else name
    service.waiting.add(client, Wait(wanted, client.namespace, deadline))
    return None


def anything(service: Service, client: Client, request: Request) -> bytes:
    """Refuse the name that only WAIT knows."""
    del service, client, request
    raise RefusedError("This is not a valid command")


def mirror(service: Service, client: Client, request: Request) -> bytes:
    """MIRROR: be sent every request of other clients."""
    del request
    if not client.is_mirror:
        client.is_mirror = True
        service.mirrors.append(client)
    return replies.status("Starting mirroring")


def master(service: Service, client: Client, request: Request) -> bytes:
    """MASTER: from now on, requests end with the number of the server they come from."""
    del service, request
    client.is_master = True
    return replies.status("Hello, master")
