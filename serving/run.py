"""Runs an application on a listener: the one way to start a server, and to stop it.

The first SIGTERM or SIGINT makes /ready answer 503 and, after `stop_delay`, closes the listener and
the idle connections; running transfers may finish within `stop_timeout`. A second signal ends them
at once. SIGHUP reads the TLS files again.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, Protocol

import uvicorn

from common.errors import UsageError, ZosError
from serving.acceptor import Acceptor
from serving.connection import Connection
from serving.connections import Peer
from serving.fast.cycle import FastReads
from serving.kit import Kit
from serving.logs import HastySink, QueuedSink, forwarded, make_logger
from serving.pools import size_default_pool
from serving.tls import load_files, make_context
from serving.workers.parent import Parent
from serving.workers.samples import Share
from serving.workers.worker import Worker

SPARE_FILES = 64
FILES_PER_CONNECTION = 2  # its socket, and the file that is being sent
POLL_S = 0.05
CANCEL_S = 1.0
THREAD_STOP_S = 1.0
START_DEADLINE_S = 20.0


class Application(Protocol):
    """An ASGI application whose `state.kit` is its kit."""

    state: Any

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request, or the application's start and end."""


class Server(uvicorn.Server):
    """uvicorn's server with the kit's acceptor, time-outs and stop."""

    def __init__(
        self,
        app: Application,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        worker: Worker | None = None,
    ) -> None:
        self.kit: Kit = app.state.kit
        self.application = app
        self.listener = listener
        self.tls = tls
        self.worker = worker
        self.stop_at: float | None = None
        self.stop_timeout = self.kit.settings.stop_timeout
        self.must_reload = False
        super().__init__(make_config(app, self.kit))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        del sockets
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise ZosError("cannot start the server: the application refused to start")
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.on_loop_error)
        size_default_pool(self.kit.settings.file_threads)
        table = self.kit.connections
        table.max_open = limit_connections(table.max_open)

        kit = self.kit
        # What is wrapped around the application sees every request.
        is_own = self.application is kit.app
        reads = FastReads(kit, kit.find) if kit.find and is_own else None

        def make_connection(before: Peer) -> Connection:
            return Connection(self.config, self.server_state, table, before, reads)

        self.acceptor = Acceptor(
            self.listener,
            table,
            make_connection,
            self.tls,
            kit.log,
            kit.throttle,
            is_shared=self.worker is not None,
        )
        self.acceptor.start()
        if self.worker:
            kit.metrics.share = Share(self.worker.slots, self.worker.number, kit.metrics.registry)
            self.worker.listen(self.stop, lambda: self.handle_reload(0, None))
        self.started = True

    async def on_tick(self, counter: int) -> bool:
        """Do what is done ten times a second; return whether it is time to stop."""
        await super().on_tick(counter)
        now = time.monotonic()
        if counter % 10 == 0:
            self.kit.connections.sweep(now)
            if self.kit.metrics.share:
                self.kit.metrics.share.publish()
        if self.must_reload:
            self.must_reload = False
            self.reload()
        if not self.should_exit:
            return False
        if self.stop_at is None:
            self.kit.readiness.is_stopping = True
            self.stop_at = now + self.kit.settings.stop_delay
            self.kit.log.info("stopping", connections=len(self.kit.connections.peers))
        return now >= self.stop_at or self.force_exit

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener and idle connections; let running transfers finish in time."""
        del sockets
        self.acceptor.close()
        connections: Any = self.server_state.connections
        for connection in list(connections):
            connection.shutdown()
        await self.wait_for_transfers()
        cut = len(connections)
        for connection in list(connections):
            connection.abort()
        tasks = set(self.server_state.tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CANCEL_S)
        await self.lifespan.shutdown()
        if self.kit.metrics.share:
            self.kit.metrics.share.publish()
        self.kit.log.info("stopped", cut_off=cut)

    async def wait_for_transfers(self) -> None:
        """Wait until every connection is closed, the time for that is over, or a second signal."""
        deadline = time.monotonic() + self.stop_timeout
        swept = 0.0
        while self.server_state.connections or self.server_state.tasks:
            now = time.monotonic()
            if self.force_exit or now > deadline:
                return
            if now - swept > 1:
                swept = now
                self.kit.connections.sweep(now)
            await asyncio.sleep(POLL_S)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop after a first signal, at once after a second one."""
        del sig, frame
        self.force_exit = self.should_exit
        self.should_exit = True

    def stop(self, is_second: bool) -> None:
        """Stop, at once if this is the second time."""
        self.should_exit = True
        self.force_exit |= is_second

    def handle_reload(self, sig: int, frame: FrameType | None) -> None:
        """Read the TLS files again, soon."""
        del sig, frame
        self.must_reload = True

    def reload(self) -> None:
        """Read the TLS files again; if they cannot be used, the old certificate stays."""
        settings = self.kit.settings
        if self.tls is None or settings.tls_cert is None or settings.tls_key is None:
            return
        try:
            make_context(settings.tls_cert, settings.tls_key)  # check them before they are used
            load_files(self.tls, settings.tls_cert, settings.tls_key)
        except ZosError as error:
            self.kit.log.error("cannot reload TLS files", error=error.message)
        else:
            self.kit.log.info("reloaded TLS files")

    def on_loop_error(self, _loop: object, context: dict[str, Any]) -> None:
        """Log what asyncio could not hand to anybody, at most once in a while for each message."""
        message = str(context.get("message", "error"))
        held = self.kit.throttle.take(message)
        if held is not None:
            error = context.get("exception")
            self.kit.log.error("event loop", message=message, error=repr(error), repeated=held)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing: `run` sets the handlers, and uvicorn's would raise the signals again."""
        yield


def make_config(app: Application, kit: Kit) -> uvicorn.Config:
    """Return what uvicorn is told."""
    settings = kit.settings
    return uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_keep_alive=int(settings.idle_timeout) + 1,
        h11_max_incomplete_event_size=settings.max_header_bytes,
        reset_contextvars=True,
    )


def limit_connections(wanted: int) -> int:
    """Raise the descriptor limit as far as needed and allowed; return the cap that fits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted * FILES_PER_CONNECTION + SPARE_FILES
    if soft < needed:
        soft = min(needed, hard) if hard != resource.RLIM_INFINITY else needed
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, (soft - SPARE_FILES) // FILES_PER_CONNECTION))


def load_tls(app: Application) -> ssl.SSLContext | None:
    """Return the TLS context of the application's settings, or None for plain HTTP."""
    settings = app.state.kit.settings
    if settings.tls_cert is None:
        return None
    return make_context(settings.tls_cert, settings.tls_key)


def run(app: Application, listener: socket.socket, announce: Callable[[], None]) -> None:
    """Answer requests until SIGTERM or SIGINT; the listener is closed at the end.

    `announce` is called once signals are handled; a client that connects from then on is answered.
    With several workers this process waits for them, and the function returns in each of them, too.
    """
    kit: Kit = app.state.kit
    count = kit.settings.workers or len(os.sched_getaffinity(0))
    if count == 1:
        return serve(app, listener, announce)
    if kit.alone:
        reason, hint = kit.alone
        raise UsageError(f"cannot serve with {count} workers: {reason}", hint=hint)
    load_tls(app)  # say now if it cannot be used
    settings = kit.settings
    log = make_logger(settings.log_level, settings.log_format, HastySink(sys.stderr))
    with listener:
        parent = Parent(listener, count, settings.stop_delay + settings.stop_timeout, log)
        worker = parent.run(announce)
        if worker:
            serve(app, listener, lambda: None, worker)
    return None


def serve(
    app: Application,
    listener: socket.socket,
    announce: Callable[[], None],
    worker: Worker | None = None,
) -> None:
    """Answer requests in this process, until a signal or the parent of `worker` ends it."""
    kit: Kit = app.state.kit
    settings = kit.settings
    server = Server(app, listener, load_tls(app), worker)
    with listener, QueuedSink(sys.stderr) as sink:
        kit.log = make_logger(settings.log_level, settings.log_format, sink)
        text = "Log lines that were dropped because they could not be written in time"
        kit.metrics.watch("zos_log_dropped_lines", text, lambda: sink.dropped)
        with forwarded(kit.log, settings.log_level), handled_signals(server):
            announce()
            server.run()


@contextlib.contextmanager
def handled_signals(server: Server) -> Iterator[None]:
    """Let signals stop and reload `server`, also before it has begun.

    A worker is told by its parent: a terminal and a supervisor send a signal to both, which would
    count twice.
    """
    handlers: dict[signal.Signals, Any] = {
        signal.SIGTERM: server.handle_exit,
        signal.SIGINT: server.handle_exit,
        signal.SIGHUP: server.handle_reload,
    }
    if server.worker:
        handlers[signal.SIGTERM] = lambda *_: server.stop(is_second=False)  # for this worker alone
        handlers[signal.SIGINT] = handlers[signal.SIGHUP] = signal.SIG_IGN
    kept = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def serve_in_thread(app: Application, listener: socket.socket) -> Iterator[None]:
    """Serve `app` from a thread until the block ends; running transfers get a moment to finish.

    Nothing is logged, and the process' signals are left alone. The listener is closed at the end.
    """
    server = Server(app, listener, load_tls(app))
    server.stop_timeout = THREAD_STOP_S
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        wait_until_started(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join(START_DEADLINE_S)
        listener.close()


def wait_until_started(server: Server, thread: threading.Thread) -> None:
    """Wait until `server` answers. Raises `ZosError` if it ended instead."""
    deadline = time.monotonic() + START_DEADLINE_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ZosError("cannot start the server: it ended before it answered")
        time.sleep(0.01)
