"""One answer below ASGI: a content that the application knows without waiting."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from uvicorn.protocols.http.h11_impl import STATUS_PHRASES
from uvicorn.server import ServerState

from serving.content import FileContent, FilePart
from serving.fast.head import Head, recognise
from serving.ranges import UnsatisfiableError
from serving.requests import Exchange, accept_id, make_id, record
from serving.respond import PART_BYTES, Plan, next_piece, plan_answer

CLOSE = (b"connection", b"close")


class Found(NamedTuple):
    """A content, which its user closes, and what its answer says beside its bytes."""

    content: FileContent
    route: str  # in metrics and log
    media_type: str
    headers: Mapping[str, str]


Finder = Callable[[Head], Found | None]
"""Returns what answers a request, or None: the application answers it. It must not block, and knows
nothing of the application's own checks: what needs a token is None."""


class Way(Protocol):
    """The connection that an answer goes by (`serving.connection.Connection`)."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    tasks: set[asyncio.Task[None]]
    server_state: ServerState
    client: tuple[str, int] | None
    held: int

    @property
    def can_send_files(self) -> bool:
        """Whether the kernel may send files by itself."""

    def push_file(self, part: FilePart, /) -> int:
        """Hand over as much of a file as needs no waiting; return how much that was."""

    async def send_piece(self, piece: FilePart | bytes, /) -> int:
        """Send bytes; return how many."""

    async def wait_until_sent(self) -> None:
        """Wait until all that was written has left this process, or the client is gone."""

    def chunk_bytes(self, taken: int, /) -> int:
        """Return how many bytes of a response may be in this process' memory."""

    def go_on(self, *, is_complete: bool) -> None:
        """Go on after the answer."""


class FastReads:
    """Finds out which requests are answered here; `kit` is the application's."""

    def __init__(self, kit: Any, find: Finder) -> None:
        self.kit = kit
        self.find = find

    def begin(self, connection: Way, data: bytes) -> "Cycle | None":
        """Return the answer to the request `data`; None: it is not one, or not plain enough."""
        head = recognise(data)
        found = head and self.find(head)
        if not head or not found:
            return None
        try:
            plan = plan_answer(
                head.method == "HEAD",
                head.headers.get,
                found.content,
                found.media_type,
                found.headers,
            )
        except UnsatisfiableError:
            found.content.close()
            return None
        return Cycle(self.kit, connection, head, found, plan)


class Cycle:
    """One answer. uvicorn and `Connection` treat it as one of uvicorn's own."""

    waiting_for_100_continue = False
    body = b""

    def __init__(self, kit: Any, connection: Way, head: Head, found: Found, plan: Plan) -> None:
        self.kit = kit
        self.connection = connection
        self.content = found.content
        self.plan = plan
        self.at = plan.span.start
        self.keep_alive = not head.must_close
        self.disconnected = False
        self.response_complete = False
        self.message_event = asyncio.Event()  # nobody waits for it
        client = connection.client
        own_id = accept_id(head.headers.get("x-request-id", "")) or make_id()
        self.exchange = Exchange(client[0] if client else "", head.method, head.path, own_id)
        self.exchange.route = found.route
        self.exchange.status = plan.status

    def start(self) -> None:
        """Send the head, and as much of the content as needs no waiting."""
        self.kit.metrics.in_flight.inc()
        connection = self.connection
        connection.transport.write(self.render_head(connection.server_state.default_headers))
        try:
            left = self.plan.span.stop - self.at
            part = None
            if left and connection.can_send_files and not connection.held:
                part = self.content.part_at(self.at, min(left, PART_BYTES))
            if part:
                self.at += connection.push_file(part)
        except Exception as error:
            return self.fail(error)
        if self.at == self.plan.span.stop:
            return self.end()
        task = connection.loop.create_task(self.send_rest())
        connection.tasks.add(task)
        task.add_done_callback(connection.tasks.discard)
        return None

    def render_head(self, defaults: list[tuple[bytes, bytes]]) -> bytes:
        """Return status line and headers."""
        status = self.plan.status
        said = "".join(f"{name}: {value}\r\n" for name, value in self.plan.head.items())
        more = defaults if self.keep_alive else [*defaults, CLOSE]
        return b"HTTP/1.1 %d %s\r\n%s%sx-request-id: %s\r\n\r\n" % (
            status,
            STATUS_PHRASES[status],
            said.encode("latin-1"),
            b"".join(b"%s: %s\r\n" % pair for pair in more),
            self.exchange.request_id.encode(),
        )

    async def send_rest(self) -> None:
        """Send what is left in pieces, each when the one before has left."""
        connection, span = self.connection, self.plan.span
        try:
            while self.at < span.stop:
                await connection.wait_until_sent()
                if self.disconnected:
                    break
                piece = await next_piece(
                    self.content,
                    range(self.at, span.stop),
                    connection.chunk_bytes(self.at - span.start),
                    in_files=connection.can_send_files,
                )
                self.at += await connection.send_piece(piece)
                del piece  # a client that reads nothing must not keep it in memory
                await asyncio.sleep(0)  # a fast client must not keep the loop from the others
        except Exception as error:
            self.fail(error)
        finally:
            self.end()

    def fail(self, error: Exception) -> None:
        """Log an error, and close the connection: its client must not take this for the end."""
        self.kit.log.error("unexpected error", exc_info=error, route=self.exchange.route)
        self.keep_alive = False
        self.end()

    def end(self) -> None:
        """Note how it went, and let the connection go on."""
        if self.response_complete:
            return
        self.response_complete = True
        self.content.close()
        self.exchange.sent_bytes = self.at - self.plan.span.start
        self.exchange.is_complete = self.at == self.plan.span.stop
        self.kit.metrics.in_flight.dec()
        record(self.kit, self.exchange)
        self.connection.go_on(is_complete=self.exchange.is_complete)
