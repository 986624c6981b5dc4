"""PING, INFO and the other commands about the server."""

import time
from collections.abc import Iterator

from common.version import project_version
from zdb.commands.client import Client
from zdb.commands.namespaces import megabytes
from zdb.commands.service import Service
from zdb.errors import RefusedError
from zdb.protocol import replies
from zdb.protocol.requests import Request


def ping(service: Service, client: Client, request: Request) -> bytes:
    """PING."""
    del service, client, request
    return b"+PONG\r\n"


def clock(service: Service, client: Client, request: Request) -> bytes:
    """TIME: seconds, and microseconds of the second."""
    del service, client, request
    seconds, rest = divmod(time.time_ns(), 1_000_000_000)
    return replies.array((replies.text(str(seconds)), replies.text(str(rest // 1000))))


def stop(service: Service, client: Client, request: Request) -> bytes:
    """STOP: end the server; a debug server only, and an administrator."""
    del request
    if not service.rules.is_debug or not client.is_admin:
        raise RefusedError("Unauthorized")
    service.must_stop = client.is_ending = True
    return replies.status("Stopping")


def hooks(service: Service, client: Client, request: Request) -> bytes:
    """HOOKS: the hooks that run, or ran in the last minute."""
    del client, request
    return replies.array(service.hooks.listing())


def info(service: Service, client: Client, request: Request) -> bytes:
    """INFO: the server's identity and counts, a line each."""
    del client, request
    lines = [line if not value else f"{line}: {value}" for line, value in describe(service)]
    return replies.text("\n".join(lines) + "\n")


def describe(service: Service) -> Iterator[tuple[str, str]]:
    """Yield what INFO says, in upstream's order; a title has no value."""
    stats = service.stats
    yield "# server", ""
    yield "server_name", "0-db (zdb)"
    yield "server_revision", project_version()
    yield "engine_revision", project_version()
    yield "instance_id", str(service.rules.instance)
    yield "boot_time", str(int(stats.started))
    yield "uptime", str(int(time.time() - stats.started))
    yield "", ""
    yield "# clients", ""
    yield "clients_lifetime", str(stats.clients)
    yield "", ""
    yield "# internals", ""
    yield "sequential_key_size", "8"
    yield "data_version", "3"
    yield "index_version", "4"
    yield "", ""
    yield "# stats", ""
    yield "commands_executed", str(stats.executed)
    yield "commands_failed", str(stats.failed)
    yield "commands_unauthorized", str(stats.unauthorized)
    yield from describe_disk(service)
    for name, size in (("rx", stats.received), ("tx", stats.sent)):
        yield f"network_{name}_bytes", str(size)
        yield f"network_{name}_mb", megabytes(size)


def describe_disk(service: Service) -> Iterator[tuple[str, str]]:
    """Yield the lines about the disk."""
    spaces = service.store.namespaces.values()
    failed = sum(space.write_errors for space in spaces)
    sizes = {
        "index": sum(file.length for space in spaces for file in space.index.files),
        "data": sum(file.length for space in spaces for file in space.data.files),
    }
    yield "index_disk_read_failed", "0"
    yield "index_disk_write_failed", "0"
    yield "data_disk_read_failed", str(service.stats.read_errors)
    yield "data_disk_write_failed", str(failed)
    for name, size in sizes.items():
        yield f"{name}_disk_read_bytes", "0"
        yield f"{name}_disk_read_mb", megabytes(0)
        yield f"{name}_disk_write_bytes", str(size)
        yield f"{name}_disk_write_mb", megabytes(size)
