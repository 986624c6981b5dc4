"""An ASGI application that counts the successful responses of another one."""

from collections import Counter
from typing import Any


class CountedApp:
    """Counts, by path, the successful responses of `app` and their body bytes."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.state = app.state
        self.sent: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request and count what is sent."""
        is_good = False

        async def counted_send(message: Any) -> None:
            nonlocal is_good
            if message["type"] == "http.response.start":
                is_good = 200 <= message["status"] < 300
                self.requests[scope["path"]] += is_good
            elif is_good and message["type"] == "http.response.body":
                self.sent[scope["path"]] += len(message.get("body", b""))
            await send(message)

        await self.app(scope, receive, counted_send)

    def bytes_below(self, prefix: str) -> int:
        """Return how many bytes were sent for paths that begin with `prefix`."""
        return sum(size for path, size in self.sent.items() if path.startswith(prefix))
