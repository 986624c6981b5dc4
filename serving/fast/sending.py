"""Files that the kernel sends on a connection.

A file is handed to the kernel as far as it takes it. If that is not all, the next few bytes go the
usual way: they wait in this process, so all that is said of such bytes holds for files, too.
"""

import contextlib
import errno
import os
import socket
from typing import Any

import h11
import uvicorn
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from serving.connections import FILE_PROVEN_BYTES, PROVEN_BYTES, Connections
from serving.content import FilePart
from serving.listen import FILE_UNSENT_BYTES, PROVEN_UNSENT_BYTES, UNSENT_BYTES
from serving.respond import ZERO_COPY
from serving.settings import MIN_CHUNK_BYTES

GONE = (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ETIMEDOUT)


class Length:
    """Stands for bytes that the kernel sends where h11 counts a body's length."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count


class FileSender(H11Protocol):
    """uvicorn's protocol, which can send files; `table` counts the bytes that clients hold up."""

    def __init__(
        self, config: uvicorn.Config, server_state: ServerState, table: Connections
    ) -> None:
        super().__init__(config, server_state, {"connection": self})
        self.application, self.app = self.app, self.run_application
        self.table = table
        self.held = 0  # response bytes in this process' memory
        self.taken = 0  # bytes of contents that the kernel has taken
        self.is_wide = False  # the kernel may hold more for this client
        self.room = 0  # of `table.buffered_bytes`, for that

    @property
    def can_send_files(self) -> bool:
        """Whether the kernel may send files by itself."""
        return self.scheme == "http"

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
            self.taken += len(piece)
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

    def abort(self) -> None:
        """Cut the connection off."""
        self.transport.abort()
