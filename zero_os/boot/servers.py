"""Runs an ASGI application in a thread of this process and counts what it gives out."""

import contextlib
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import uvicorn

from common.errors import ZosError
from serving.listen import open_listener

START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 10.0


class CountedApp:
    """An ASGI application that counts, by path, the body bytes of its good answers."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.sent: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request and note what was sent."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        is_good = False

        async def counted_send(message: Any) -> None:
            nonlocal is_good
            if message["type"] == "http.response.start":
                is_good = 200 <= message["status"] < 300
                self.requests[path] += is_good
            elif is_good:
                self.sent[path] += len(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, counted_send)

    def bytes_below(self, prefix: str) -> int:
        """Return how many bytes were sent for paths that begin with `prefix`."""
        return sum(size for path, size in self.sent.items() if path.startswith(prefix))


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens on the loopback; port 0 takes a free one."""
    return open_listener("127.0.0.1", port)


@contextlib.contextmanager
def serve(app: CountedApp, listener: socket.socket) -> Iterator[None]:
    """Serve `app` on `listener` until the block ends; nothing is left behind."""
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        wait_until_started(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_DEADLINE_S)
        listener.close()


def wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    """Wait until `server` answers, or raise."""
    deadline = time.monotonic() + START_DEADLINE_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ZosError("cannot start the server: it ended before it answered")
        time.sleep(0.01)
