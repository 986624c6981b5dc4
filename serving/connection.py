"""One connection: uvicorn's h11 protocol with deadlines, caps and half-closing clients.

The deadlines are checked by `Connections.sweep`, not by a timer per event, so a byte that arrives
costs no more than in uvicorn. What is measured over a window of time is progress: bytes received
for a request's body, bytes that the client's kernel has acknowledged for a response.
"""

import asyncio
import errno
import logging
import socket
import sys
import time
from typing import NamedTuple

import h11
import uvicorn
from uvicorn.server import ServerState

from serving.connections import Connections, Peer
from serving.fast.cycle import Cycle, FastReads
from serving.fast.sending import FileSender
from serving.problems import Problem, render

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


class Window(NamedTuple):
    """The beginning of a span of time in which a client must make progress."""

    what: str
    since: float
    progress: int  # bytes so far


class Connection(FileSender):
    """A client's connection, from accept to close."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        table: Connections,
        before: Peer,
        reads: FastReads | None = None,
    ) -> None:
        super().__init__(config, server_state, table)
        self.reads = reads
        self.waiting = b""  # what came during an answer below ASGI
        self.conn = StrictParser(h11.SERVER, table.settings.max_header_bytes)
        self.logger = SILENT
        self.access_log = False
        self.before = before  # stands for this connection in the table until it is made
        self.address = before.address
        self.since = time.monotonic()  # when the client began to owe a request
        self.is_idle = False  # it has had a response, and nothing of a next request has come
        self.is_half_closed = False  # the client sends nothing more
        self.received = 0
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

    def release_held(self) -> None:
        """Forget the bytes that were held for the client."""
        self.table.buffered_bytes -= self.held
        self.held = 0
