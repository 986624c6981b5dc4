"""A small registry for faults: it takes reports in order, and misbehaves when it is told to."""

import contextlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from common.nodes.envelope import open_envelope

Fault = Callable[[BaseHTTPRequestHandler], bool]


class FakeRegistry:
    """Answers at `url`. `faults` are used up one by one: each may answer in its place."""

    def __init__(self) -> None:
        self.interval_s = 2400.0
        self.clock: float | None = None
        self.taken: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.refused: list[int] = []
        self.faults: list[Fault] = []
        self.boot, self.sequence, self.count = "", 0, 0
        self.arrived = threading.Condition()
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                registry.handle(self, b"")

            def do_POST(self) -> None:
                registry.handle(self, self.rfile.read(int(self.headers["Content-Length"])))

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def nonce(self) -> str:
        return f"nonce-{self.count}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def wait(self, count: int, timeout_s: float = 60) -> list[dict[str, Any]]:
        """Return the reports once there are so many."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.taken) >= count, timeout_s), self.taken
            return list(self.taken)

    def handle(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        self.asked.append(f"{request.command} {request.path}")
        if self.faults and self.faults.pop(0)(request):
            return
        if request.command == "GET":
            fields = {"nonce": self.nonce, "boot": self.boot or None, "sequence": self.sequence}
            answer(request, 200, fields)
        else:
            self.take(request, dict(open_envelope(body, "report").payload))

    def take(self, request: BaseHTTPRequestHandler, report: dict[str, Any]) -> None:
        expected = self.sequence + 1 if report["boot"] == self.boot else 1
        if (report["sequence"], report["nonce"]) != (expected, self.nonce):
            self.refused.append(report["sequence"])
            answer(request, 409, {"detail": "it is not the next one", "hint": "ask"})
            return
        self.boot, self.sequence, self.count = report["boot"], expected, self.count + 1
        with self.arrived:
            self.taken.append(report)
            self.arrived.notify_all()
        time = report["sent"] if self.clock is None else self.clock
        answer(request, 200, {"nonce": self.nonce, "interval_s": self.interval_s, "time": time})


def answer(request: BaseHTTPRequestHandler, status: int, fields: Any, **headers: str) -> None:
    """Answer in JSON."""
    data = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.send_header("Content-Length", str(len(data)))
    with contextlib.suppress(OSError):  # the node has given up
        request.end_headers()
        request.wfile.write(data)


def fault(status: int, fields: Any, **headers: str) -> Fault:
    """Return a fault that answers like this."""

    def misbehave(request: BaseHTTPRequestHandler) -> bool:
        answer(request, status, fields, **headers)
        return True

    return misbehave


def hang_up(request: BaseHTTPRequestHandler) -> bool:
    """Close the connection without an answer."""
    request.close_connection = True
    return True
