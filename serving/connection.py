"""One connection: uvicorn's h11 protocol with deadlines, caps, half-closing clients, and files that
the kernel sends.

The deadlines are checked by `Connections.sweep`, not by a timer per event, so a byte that arrives
costs no more than in uvicorn. What is measured over a window of time is progress: bytes received
for a request's body, bytes that the client's kernel has acknowledged for a response.

A file is handed to the kernel as far as it takes it. If that is not all, the next few bytes go the
usual way: they wait in this process, so all that is said of such bytes holds for files, too.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
import sys
import time
from typing import Any, NamedTuple

import h11
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from serving.connections import FILE_PROVEN_BYTES, PROVEN_BYTES, Connections, Peer
from serving.content import FilePart
from serving.fast.cycle import Cycle, FastReads
from serving.listen import FILE_UNSENT_BYTES, PROVEN_UNSENT_BYTES, UNSENT_BYTES
from serving.problems import Problem, render
from serving.respond import ZERO_COPY
from serving.settings import MIN_CHUNK_BYTES

READ_BYTES = 1 << 14
"""A connection is read in pieces of this size, and not while as much waits for the application."""
SILENT = logging.getLogger("serving.silent")  # the kit logs what uvicorn's protocol would
SILENT.setLevel(logging.CRITICAL + 1)
ACKED_OFFSET = 120  # of tcpi_bytes_acked in struct tcp_info, linux/tcp.h
TCP_INFO_BYTES = 128
GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT)


class StrictParser(h11.Connection):
    """h11's connection, which refuses a request that names both ways to tell its body's end.

    A proxy in front may go by the other one. What it took for the body would be answered as a
    request of its own (RFC 9112, section 6.1: such a request may be refused).
    """

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event."""
        event = super().next_event()
        if isinstance(event, h11.Request):
            names = {name for name, _ in event.headers}
            if {b"content-length", b"transfer-encoding"} <= names:
                raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        return event


class Length:
    """Stands for bytes that the kernel sends where h11 counts a body's length."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


class Window(NamedTuple):
    """The beginning of a span of time in which a client must make progress."""

    what: str
    since: float
    progress: int  # bytes so far


class Connection(H11Protocol):
    """A client's connection, from accept to close."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        table: Connections,
        before: Peer,
        reads: FastReads | None = None,
    ) -> None:
        super().__init__(config, server_state, {"connection": self})
        self.application, self.app = self.app, self.run_application
        self.reads = reads
        self.waiting = b""  # what came during an answer below ASGI
        self.taken = 0  # bytes of files that the kernel has taken
        self.is_wide = False  # the kernel may hold more for this client
        self.room = 0  # of `table.buffered_bytes`, for that
        self.conn = StrictParser(h11.SERVER, table.settings.max_header_bytes)
        self.logger = SILENT
        self.access_log = False
        self.table = table
        self.before = before  # stands for this connection in the table until it is made
        self.address = before.address
        self.since = time.monotonic()  # when the client began to owe a request
        self.is_idle = False  # it has had a response, and nothing of a next request has come
        self.is_half_closed = False  # the client sends nothing more
        self.received = 0
        self.held = 0  # response bytes in this process' memory
        self.window: Window | None = None
        self.acked = -1  # at the last sweep
        self.is_stalled = False

    # What asyncio and uvicorn call.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        # A response's next chunk is read only when the one before has left this process.
        # A file's part must not overtake even one byte; TLS, which sends none, refuses 0.
        transport.set_write_buffer_limits(high=0 if self.can_send_files else 1, low=0)
        transport.max_size = READ_BYTES  # type: ignore[attr-defined]  # asyncio's default is 256 KiB
        self.table.remove(self.before)
        self.table.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End, whoever closed the connection."""
        self.table.remove(self)
        self.release_held()
        self.narrow()
        super().connection_lost(exc)
        self.app_state = {}  # it refers to this object

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client."""
        self.received += len(data)
        if self.is_idle:
            self.is_idle = False
            self.since = time.monotonic()
        if isinstance(self.cycle, Cycle) and not self.owes_request:
            self.waiting += data
            self.flow.pause_reading()
            return
        if self.answer_fast(data):
            return
        super().data_received(data)
        if not self.owes_request and len(self.cycle.body) >= READ_BYTES:
            self.flow.pause_reading()  # until the application takes what is here
        self.table.set_owing(self, is_owing=self.owes_request)

    def answer_fast(self, data: bytes) -> bool:
        """Answer a request below ASGI; return whether `data` is one that can be."""
        if self.reads is None or not self.is_between_requests:
            return False
        if len(data) > self.table.settings.max_header_bytes:
            return False
        cycle = self.reads.begin(self, data)
        if cycle is None:
            return False
        self._unset_keepalive_if_required()
        self.cycle = cycle  # type: ignore[assignment]
        self.table.set_owing(self, is_owing=False)
        cycle.start()
        return True

    def go_on(self, *, is_complete: bool) -> None:
        """Go on after an answer below ASGI."""
        self.server_state.total_requests += 1
        self.is_idle = True
        self.since = time.monotonic()
        self.table.set_owing(self, is_owing=True)
        if not (is_complete and self.cycle.keep_alive):
            self.transport.close()
        elif self.waiting:
            data, self.waiting = self.waiting, b""
            self.received -= len(data)
            self.flow.resume_reading()
            self.data_received(data)
        if self.is_half_closed and self.owes_request:
            self.transport.close()

    async def run_application(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application; it may let the kernel send files unless they must be encrypted."""
        self.narrow()
        if not self.can_send_files:
            return await self.application(scope, receive, send)  # type: ignore[no-any-return]

        async def send_all(message: Message) -> None:
            if message["type"] != ZERO_COPY:
                await send(message)
            elif not self.is_gone:
                part = FilePart(message["file"], message["offset"], message["count"])
                counted: Any = Length(part.size)
                self.conn.send_with_data_passthrough(h11.Data(data=counted))
                await self.send_piece(part)

        scope["extensions"] = {ZERO_COPY: {}}
        return await self.application(scope, receive, send_all)  # type: ignore[no-any-return]

    async def send_piece(self, piece: FilePart | bytes) -> int:
        """Send bytes; return how many have left, or wait to: all unless the client is gone."""
        await self.wait_until_sent()
        if not isinstance(piece, FilePart):
            self.transport.write(piece)
            return len(piece)
        sent = 0
        while sent < piece.size and not (self.is_gone or self.transport.is_closing()):
            sent += self.push_file(FilePart(piece.handle, piece.start + sent, piece.size - sent))
            await self.wait_until_sent()
        return sent

    def push_file(self, part: FilePart) -> int:
        """Hand as much of a file to the kernel as it takes, and some more to the transport.

        Return the length of both. All that was written before must have left. Raises OSError.
        """
        sock = self.transport.get_extra_info("socket")
        count = 0
        try:
            count = os.sendfile(sock.fileno(), part.handle, part.start, part.size)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno not in GONE:
                raise
            self.abort()
            return 0
        self.taken += count
        if self.taken >= FILE_PROVEN_BYTES:
            self.widen(is_copied=False)
        if count == part.size:
            return count
        data = os.pread(part.handle, min(MIN_CHUNK_BYTES, part.size - count), part.start + count)
        if not data:
            raise OSError(errno.EIO, "the file became shorter while it was sent")
        self.transport.write(data)
        return count + len(data)

    def widen(self, *, is_copied: bool) -> None:
        """Let the kernel hold more for a client that has taken much: it is asked less often.

        It holds copies of bytes that are not in a file; they count as memory.
        """
        if self.is_wide or (is_copied and not self.table.take_room(PROVEN_UNSENT_BYTES)):
            return
        self.room = PROVEN_UNSENT_BYTES if is_copied else 0
        self.set_unsent(PROVEN_UNSENT_BYTES if is_copied else FILE_UNSENT_BYTES)

    def narrow(self) -> None:
        """Let the kernel hold as much as for every client."""
        if self.is_wide:
            self.table.buffered_bytes -= self.room
            self.room = 0
            self.set_unsent(UNSENT_BYTES)

    def set_unsent(self, count: int) -> None:
        """Set how many bytes the kernel holds before it may send them."""
        self.is_wide = count > UNSENT_BYTES
        sock = self.transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the client is gone
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, count)

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep a connection whose client only closed its sending half, until it is answered."""
        is_served = not self.owes_request and not self.owes_body and self.scheme == "http"
        self.is_half_closed = is_served
        return is_served

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self.is_idle = True
        self.since = time.monotonic()
        self.narrow()
        super().on_response_complete()  # it begins the next request, if that was pipelined
        self.table.set_owing(self, is_owing=self.owes_request)
        if self.is_half_closed and self.owes_request:
            self.transport.close()

    def pause_writing(self) -> None:
        """Stop the response: the client takes no more for now."""
        self.held = self.transport.get_write_buffer_size()
        self.table.buffered_bytes += self.held
        super().pause_writing()

    def resume_writing(self) -> None:
        """Go on with the response: all that was written has left this process."""
        self.release_held()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is not HTTP, or whose head is too large, and close."""
        error = sys.exc_info()[1]
        status = getattr(error, "error_status_hint", 400)
        self.table.reject("header_size" if status == 431 else "bad_request")
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return self.abort()  # a response has begun: there is no place for another
        if not self.owes_request:  # its body is malformed: the application gets no more of it
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        response = render(Problem(status, msg.rstrip(".").lower()))
        headers = [*response.raw_headers, (b"connection", b"close")]
        for event in (
            h11.Response(status_code=status, headers=headers),
            h11.Data(data=bytes(response.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        return self.transport.close()

    def shutdown(self) -> None:
        """Close now if nothing is being answered, else after the response."""
        if self.owes_request:
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    # What the table and the kit ask.

    @property
    def can_send_files(self) -> bool:
        """Whether the kernel may send files by itself."""
        return self.scheme == "http"

    @property
    def is_between_requests(self) -> bool:
        """Whether the next byte begins a request, as the first or after an answer."""
        return (
            self.owes_request
            and self.conn.our_state is h11.IDLE
            and self.conn.their_state is h11.IDLE
            and not self.conn.trailing_data[0]
            and not self.transport.is_closing()
        )

    @property
    def owes_request(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def owes_body(self) -> bool:
        """Whether a part of a request's body is still to come."""
        return self.conn.their_state is h11.SEND_BODY

    @property
    def is_gone(self) -> bool:
        """Whether the client of the running response has disconnected."""
        return self.cycle is not None and self.cycle.disconnected

    def chunk_bytes(self, taken: int) -> int:
        """Return the size of the next chunk of a response of which `taken` bytes have left."""
        if taken >= PROVEN_BYTES:
            self.widen(is_copied=True)
        return self.table.chunk_bytes(taken)

    async def wait_until_sent(self) -> None:
        """Wait until all that was written has left this process, or the client is gone."""
        if self.held and not self.is_gone:
            await self.flow.drain()

    def overdue(self, now: float) -> str | None:
        """Return which time-out the client has reached, or None."""
        settings = self.table.settings
        self.is_stalled = False
        if self.held:
            before, self.acked = self.acked, self.count_acked()
            self.is_stalled = self.acked == before
            return self.check_rate(now, "write_timeout", self.acked, settings.write_timeout)
        if self.transport.is_closing():
            return None
        if self.owes_body:
            if self.flow.read_paused or self.awaits_continue:
                self.window = None
                return None
            return self.check_rate(now, "body_timeout", self.received, settings.body_timeout)
        self.window = None
        if not self.owes_request:
            return None
        name = "idle_timeout" if self.is_idle else "header_timeout"
        return name if now - self.since > getattr(settings, name) else None

    @property
    def awaits_continue(self) -> bool:
        """Whether the client rightly waits for "100 Continue" before it sends the body."""
        return not self.owes_request and self.cycle.waiting_for_100_continue

    def check_rate(self, now: float, name: str, count: int, limit_s: float) -> str | None:
        """Return `name` if fewer than `min_rate` bytes per second came in the last `limit_s`."""
        window = self.window
        if window is None or window.what != name:
            self.window = Window(name, now, count)
            return None
        span_s = now - window.since
        if span_s < limit_s:
            return None
        self.window = Window(name, now, count)
        is_slow = count - window.progress < self.table.settings.min_rate * span_s
        return name if is_slow else None

    def count_acked(self) -> int:
        """Return how many bytes the client's kernel has acknowledged."""
        sock = self.transport.get_extra_info("socket")
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
        return int.from_bytes(info[ACKED_OFFSET : ACKED_OFFSET + 8], sys.byteorder)

    def evict(self) -> None:
        """End the connection; it is cut off if closing it would take a while."""
        if self.held or not self.owes_request or self.owes_body or self.scheme == "https":
            self.abort()
        else:
            self.transport.close()

    def abort(self) -> None:
        """Cut the connection off."""
        self.transport.abort()

    def release_held(self) -> None:
        """Forget the bytes that were held for the client."""
        self.table.buffered_bytes -= self.held
        self.held = 0
