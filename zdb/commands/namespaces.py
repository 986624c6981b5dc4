"""NSNEW, NSSET and the other commands about whole namespaces."""

import os
import re
from collections.abc import Callable, Iterator

from zdb.commands.access import name_of, named
from zdb.commands.client import Client
from zdb.commands.command import need_values
from zdb.commands.keys import writable
from zdb.commands.service import Service
from zdb.errors import RefusedError
from zdb.protocol import replies
from zdb.protocol.requests import Request
from zdb.storage.namespace import Namespace
from zdb.storage.store import is_name
from zdb.values import DEFAULT, MIX, MODES, SEQ

MAX_VALUE = 63  # bytes of a setting
MAX_QUOTA = (1 << 63) - 1
OF_DEFAULT = frozenset((b"mode", b"lock", b"freeze"))
_NUMBER = re.compile(rb"\s*\+?(\d*)")


def create(service: Service, client: Client, request: Request) -> bytes:
    """NSNEW name."""
    del client
    need_values(request)
    name = name_of(request[1])
    if name == DEFAULT or not is_name(name):
        raise RefusedError("This name is not allowed")
    if name in service.store.namespaces:
        raise RefusedError("This namespace is not available")
    service.store.create(name)
    service.hooks.fire("namespace-created", name)
    return replies.OK


def delete(service: Service, client: Client, request: Request) -> bytes:
    """NSDEL name: with all that is in it. Its clients are told at their next request."""
    need_values(request)
    name = name_of(request[1])
    namespace = service.store.namespaces.get(name)
    if name == DEFAULT:
        raise RefusedError("Cannot remove default namespace")
    if namespace is None:
        raise RefusedError("This namespace doesn't exists")
    if namespace is client.namespace:
        raise RefusedError("Cannot remove namespace you're currently using.")
    service.settle()
    service.store.delete(name)
    service.detach(namespace)
    service.hooks.fire("namespace-deleted", name)
    return replies.OK


def names(service: Service, client: Client, request: Request) -> bytes:
    """NSLIST: all names, `default` first."""
    del client, request
    others = [name for name in service.store.namespaces if name != DEFAULT]
    return replies.array(map(replies.text, (DEFAULT, *others)))


def count(service: Service, client: Client, request: Request) -> bytes:
    """DBSIZE: how many keys there are."""
    del service, request
    return replies.number(client.namespace.entries if client.namespace else 0)


def flush(service: Service, client: Client, request: Request) -> bytes:
    """FLUSH: delete all keys; of a namespace that has a password and is not public."""
    del request
    namespace = client.namespace
    if namespace is None or not namespace.password or namespace.public:
        raise RefusedError("Flushing public namespace denied")
    writable(client)
    if namespace.worm:
        raise RefusedError("Cannot delete a key when namespace is in worm mode")
    service.settle()
    service.store.flush(namespace.name)
    return replies.OK


def reload(service: Service, client: Client, request: Request) -> bytes:
    """RELOAD name: read its files again, after they were changed from outside."""
    del client
    need_values(request)
    namespace = named(service, request[1])
    service.settle()
    service.store.reload(namespace.name)
    service.hooks.fire("namespace-reloaded", namespace.name)
    return replies.OK


def jump(service: Service, client: Client, request: Request) -> bytes:
    """NSJUMP: go on in new files."""
    del service, request
    if client.namespace is None:
        raise RefusedError("Namespace not found")
    client.namespace.jump()
    return replies.OK


def change(service: Service, client: Client, request: Request) -> bytes:
    """NSSET name setting value."""
    del client
    need_values(request)
    namespace = named(service, request[1])
    word, value = request[2].lower(), request[3]
    if len(value) > MAX_VALUE:
        raise RefusedError("Argument too long")
    setter = SETTINGS.get(word)
    if setter is None:
        raise RefusedError("Invalid property")
    if namespace.name == DEFAULT and word not in OF_DEFAULT:
        raise RefusedError("Cannot update default namespace")
    setter(service, namespace, value)
    service.hooks.fire("namespace-updated", namespace.name)
    return replies.OK


def is_on(value: bytes) -> bool:
    """Return whether a value switches a setting on, as upstream takes it."""
    return value.startswith(b"1")


def set_quota(service: Service, namespace: Namespace, value: bytes) -> None:
    """Set how many bytes all values may have; 0, and what is no number, is no limit."""
    del service
    found = _NUMBER.match(value)
    quota = int(found[1] or 0) if found else 0
    if quota > MAX_QUOTA or value.lstrip().startswith(b"-"):
        raise RefusedError("Invalid property value")
    namespace.change(maxsize=quota)


def set_password(service: Service, namespace: Namespace, value: bytes) -> None:
    """Set the password; `*` takes it away."""
    del service
    namespace.change(password=b"" if value == b"*" else value)


def set_public(service: Service, namespace: Namespace, value: bytes) -> None:
    """Let everybody read, or only who has the password."""
    del service
    namespace.change(public=is_on(value))


def set_worm(service: Service, namespace: Namespace, value: bytes) -> None:
    """Let values be written once only."""
    del service
    namespace.change(worm=is_on(value))


def set_lock(service: Service, namespace: Namespace, value: bytes) -> None:
    """Refuse all changes until this is switched off, or the server starts anew."""
    del service
    namespace.locked = is_on(value)


def set_freeze(service: Service, namespace: Namespace, value: bytes) -> None:
    """Refuse reading, too."""
    del service
    namespace.frozen = is_on(value)


def set_mode(service: Service, namespace: Namespace, value: bytes) -> None:
    """Choose the mode of a namespace in which nothing was ever written."""
    if service.store.settings.mode != MIX:
        raise RefusedError(
            "This server instance is configured to use a single runtime mode",
        )
    if not namespace.is_fresh:
        raise RefusedError("Cannot change mode of used namespace")
    mode = value.decode("ascii", "replace")
    if mode not in MODES:
        raise RefusedError("Invalid property value (expected: user, seq)")
    service.store.set_mode(namespace.name, mode)


SETTINGS: dict[bytes, Callable[[Service, Namespace, bytes], None]] = {
    b"maxsize": set_quota,
    b"password": set_password,
    b"public": set_public,
    b"worm": set_worm,
    b"mode": set_mode,
    b"lock": set_lock,
    b"freeze": set_freeze,
}


def info(service: Service, client: Client, request: Request) -> bytes:
    """NSINFO name: settings and sizes, a line each."""
    need_values(request)
    namespace = named(service, request[1])
    facts = [*describe(namespace)]
    if client.is_master and namespace.password:
        facts.append(("password_raw", namespace.password.decode("utf-8", "surrogateescape")))
    if client.is_admin:
        facts += describe_files(namespace)
    lines = [f"{key}: {value}" for key, value in facts]
    return replies.text("# namespace\n" + "\n".join(lines) + "\n")


def describe(namespace: Namespace) -> Iterator[tuple[str, object]]:
    """Yield what NSINFO tells everybody, in upstream's order."""
    size, quota, index_size = namespace.data_bytes, namespace.maxsize, namespace.index_bytes
    yield "name", namespace.name
    yield "entries", namespace.entries
    yield "public", yes(namespace.public)
    yield "worm", yes(namespace.worm)
    yield "locked", yes(namespace.locked or namespace.frozen)
    yield "password", yes(bool(namespace.password))
    yield "data_size_bytes", size
    yield "data_size_mb", megabytes(size)
    yield "data_limits_bytes", quota
    yield "index_size_bytes", index_size
    yield "index_size_kb", f"{index_size / 1024:.2f}"
    next_id = (namespace.next_id & 0xFFFFFFFF).to_bytes(4, "little").hex()
    yield "next_internal_id", f"0x{next_id}"
    yield "mode", "sequential" if namespace.mode == SEQ else "userkey"
    for part in ("index", "data"):
        yield f"stats_{part}_io_errors", namespace.write_errors
        yield f"stats_{part}_io_error_last", int(namespace.last_error)
        yield f"stats_{part}_faults", 0
    if quota:
        yield "space_available", max(quota - size, 0)
    for part, files in (("index", namespace.index), ("data", namespace.data)):
        free = free_bytes(str(files.folder))
        yield f"{part}_disk_freespace_bytes", free
        yield f"{part}_disk_freespace_mb", megabytes(free)


def describe_files(namespace: Namespace) -> Iterator[tuple[str, object]]:
    """Yield what NSINFO tells administrators."""
    for part, files in (("data", namespace.data), ("index", namespace.index)):
        yield f"{part}_path", files.folder
        yield f"{part}_active", files.current.path
    yield "data_current_id", namespace.data.current_id
    yield "data_current_offset", namespace.data.current.end


def yes(value: bool) -> str:
    """Return a yes or a no."""
    return "yes" if value else "no"


def megabytes(count: int) -> str:
    """Return a number of bytes in MiB."""
    return f"{count / (1 << 20):.2f}"


def free_bytes(folder: str) -> int:
    """Return how many bytes the disk of a folder still takes."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
