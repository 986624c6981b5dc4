"""Runs the server of one disk until a signal, or STOP, ends it."""

import contextlib
import gc
import secrets
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import FrameType
from typing import TYPE_CHECKING

from common.notify import notify_ready
from serving.listen import own_url
from serving.logs import QueuedSink, make_logger
from zdb.commands.service import Hooks, Rules, Service
from zdb.commands.table import make_table
from zdb.serve.hooks import Program
from zdb.serve.limits import Limits, limit_connections
from zdb.serve.listeners import Door, open_tcp, open_unix
from zdb.serve.loop import Loop
from zdb.serve.settings import ZdbSettings
from zdb.storage.namespace import Namespace
from zdb.storage.settings import StoreSettings
from zdb.storage.store import Store
from zdb.values import DEFAULT

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

STOPPING = (signal.SIGTERM, signal.SIGINT)


class Part:
    """What a server does beside serving: here nothing."""

    is_replica = False

    def start(self, service: Service, loop: Loop) -> None:
        """Begin, when the store is open."""

    def stop(self) -> None:
        """End, when the loop has ended; the store is still open."""

    def collectors(self) -> list["Collector"]:
        """Return metrics of its own."""
        return []


def run(settings: ZdbSettings, lifeline: int | None = None, part: Part | None = None) -> int:
    """Serve; return the number of the signal that ended the server, 0 for STOP.

    The server stops, too, when the descriptor `lifeline` can be read: its other end is closed then.
    """
    part = part or Part()
    sink = QueuedSink(sys.stderr)
    logger = make_logger(settings.log_level, settings.log_format, sink)
    with sink, contextlib.ExitStack() as stack:
        doors = open_doors(settings, stack)
        hooks = start_hooks(settings, logger.warning, stack)
        store = make_store(settings, logger.warning, hooks, part.is_replica)
        stack.enter_context(store)
        prepare_default(store.namespaces[DEFAULT], settings)
        rules = make_rules(settings)
        service = Service(store, rules, make_table(), logger.warning, hooks)
        loop = Loop(service, make_limits(settings))
        for door in doors:
            loop.open_door(door)
        if isinstance(hooks, Program):
            watch_hooks(loop, hooks)
        if lifeline is not None:
            loop.watch(lifeline, loop.stop)
        start_metrics(settings, service, loop, part)
        part.start(service, loop)
        stack.callback(part.stop)
        calm_collector()
        with signals_to(loop) as seen:
            announce(doors, settings)
            hooks.fire("ready")
            loop.run()
        hooks.fire("close")
        logger.info("stopped", signal=seen[0] if seen else "")
    return seen[0] if seen else 0


def calm_collector() -> None:
    """Let Python look for cycles seldom, and not in what stays: requests leave none behind."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def open_doors(settings: ZdbSettings, stack: contextlib.ExitStack) -> list[Door]:
    """Listen before anything else is done: an address in use ends the start."""
    doors = []
    if settings.listen:
        doors.append(open_tcp(settings.listen, settings.tls_cert, settings.tls_key))
        stack.callback(doors[-1].close)
    if settings.socket is not None:
        doors.append(open_unix(settings.socket))
        stack.callback(doors[-1].close)
    return doors


def start_hooks(
    settings: ZdbSettings, log: Callable[[str], None], stack: contextlib.ExitStack
) -> Hooks:
    """Start the helper of the operator's program, and tell it that the store will be opened."""
    if settings.hook is None:
        return Hooks()
    program = Program(settings.hook.absolute(), settings.hook_timeout, log)
    program.start()
    stack.callback(program.stop)
    data, index = settings.folders()
    program.fire_and_wait("namespaces-init", str(index), str(data))
    return program


def make_store(
    settings: ZdbSettings, log: Callable[[str], None], hooks: Hooks, is_replica: bool = False
) -> Store:
    """Return the store of the settings, not open yet."""
    data, index = settings.folders()

    def jumped(name: str) -> None:
        namespace = store.namespaces[name]
        data_files, index_files = (
            [str(file.path) for file in part.files[-2:]]
            for part in (namespace.data, namespace.index)
        )
        dirty = " ".join(map(str, sorted(namespace.index.dirty)))
        hooks.fire("jump-data", *data_files)
        hooks.fire("jump-index", *index_files, dirty)

    wanted = StoreSettings(
        mode=settings.mode,
        file_size=settings.file_size,
        sync=settings.sync,
        sync_s=settings.sync_seconds,
        log=log,
        jumped=jumped,
        is_replica=is_replica,
    )
    store = Store(data, index, wanted)
    return store


def prepare_default(namespace: Namespace, settings: ZdbSettings) -> None:
    """Give the namespace `default` what the settings say of it; nothing of that is written."""
    if settings.maxsize:
        namespace.descriptor = replace(namespace.descriptor, maxsize=settings.maxsize)
    if settings.protect:
        password = settings.admin.encode("utf-8", "surrogateescape")
        namespace.descriptor = replace(namespace.descriptor, password=password)


def make_rules(settings: ZdbSettings) -> Rules:
    """Return what clients may do."""
    return Rules(
        admin=settings.admin.encode("utf-8", "surrogateescape"),
        is_protected=settings.protect,
        is_debug=settings.debug_commands,
        instance=secrets.randbelow(0xFFFFFFFE) + 1,
    )


def make_limits(settings: ZdbSettings) -> Limits:
    """Return what clients may take."""
    return Limits(
        connections=limit_connections(settings.max_connections),
        buffered=settings.max_buffered_bytes,
        idle_s=settings.idle_timeout,
        request_s=settings.request_timeout,
        write_s=settings.write_timeout,
    )


def watch_hooks(loop: Loop, program: Program) -> None:
    """Read what the helper reports."""
    number = program.output

    def read() -> None:
        if not program.read():
            loop.forget(number)

    loop.watch(number, read)


def start_metrics(settings: ZdbSettings, service: Service, loop: Loop, part: Part) -> None:
    """Start the metrics' thread."""
    if settings.metrics:
        from zdb.serve.metrics import MetricsServer

        MetricsServer(settings.metrics, service, loop, part.collectors()).start()


def announce(doors: list[Door], settings: ZdbSettings) -> None:
    """Print where clients come in, now that they are served."""
    scheme = "rediss" if settings.tls_cert else "redis"
    for door in doors:
        if door.listener.family == socket.AF_UNIX:
            sys.stdout.write(f"unix://{settings.socket}\n")
        else:
            sys.stdout.write(own_url(door.listener).replace("http", scheme, 1) + "\n")
    sys.stdout.flush()
    notify_ready()


@contextlib.contextmanager
def signals_to(loop: Loop) -> Iterator[list[int]]:
    """End the loop at a signal; yields a list, into which the first one goes."""
    seen: list[int] = []
    reader, writer = socket.socketpair()
    for end in (reader, writer):
        end.setblocking(False)

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        seen.append(number)

    def wake() -> None:
        with contextlib.suppress(BlockingIOError):
            reader.recv(64)
        if seen:
            loop.stop()

    before = {number: signal.signal(number, note) for number in STOPPING}
    number = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    loop.watch(reader.fileno(), wake)
    try:
        yield seen
    finally:
        signal.set_wakeup_fd(number)
        for stopping, handler in before.items():
            signal.signal(stopping, handler)
        reader.close()
        writer.close()
