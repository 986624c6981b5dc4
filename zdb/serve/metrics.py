"""GET /metrics in Prometheus' text format, from a thread of its own.

The thread reads the loop's counts, which are plain numbers, while the loop goes on. One caller is
served at a time, and has to send its request and take its answer in time.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from serving.listen import open_listener, parse_address
from zdb.commands.service import Service
from zdb.serve.loop import Loop

CALLER_S = 2.0
MAX_HEAD = 8192


class ServiceCollector(Collector):
    """Turns the counts of a server into metrics."""

    def __init__(self, service: Service, loop: Loop) -> None:
        self.service = service
        self.loop = loop

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        yield from self._counts()
        yield from self._sizes()
        calls = CounterMetricFamily("zdb_commands", "Commands run, by name", labels=["command"])
        for command in self.service.table.values():
            calls.add_metric([command.name.decode()], command.calls)
        yield calls

    def _counts(self) -> Iterator[Metric]:
        stats = self.service.stats
        for name, text, value in (
            ("clients", "Connections since the start", stats.clients),
            ("clients_refused", "Connections refused at max_connections", stats.refused),
            ("clients_evicted", "Connections closed by a limit or a deadline", stats.evicted),
            ("commands_failed", "Requests answered by an error", stats.failed),
            ("commands_unauthorized", "Requests without the right to them", stats.unauthorized),
            ("read_errors", "Values that could not be read", stats.read_errors),
            ("received_bytes", "Bytes from clients", stats.received),
            ("sent_bytes", "Bytes to clients", stats.sent),
            ("turns", "Turns of the loop", stats.turns),
            ("busy_seconds", "Time the loop has worked", stats.busy),
            ("commit_seconds", "Time of it for writing to the disk", stats.committing),
        ):
            yield CounterMetricFamily(f"zdb_{name}", text, value=value)

    def _sizes(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(
            "zdb_start_time_seconds", "When the server was started", self.service.stats.started
        )
        yield GaugeMetricFamily("zdb_connections", "Connections now", len(self.loop.connections))
        rows = {
            "entries": "Keys",
            "data_bytes": "Bytes of current values",
            "index_bytes": "Bytes of memory for keys",
            "maxsize": "Quota in bytes, 0 without one",
            "write_errors": "Times the disk has refused to write",
        }
        for name, text in rows.items():
            gauge = GaugeMetricFamily(f"zdb_namespace_{name}", text, labels=["namespace"])
            for space in list(self.service.store.namespaces.values()):
                label = space.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                gauge.add_metric([label], getattr(space, name))
            yield gauge


class MetricsServer:
    """The listener and its thread."""

    def __init__(
        self, address: str, service: Service, loop: Loop, others: Sequence[Collector] = ()
    ) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        for collector in (ServiceCollector(service, loop), *others):
            self.registry.register(collector)
        self.listener = open_listener(*parse_address(address))
        self.thread = threading.Thread(target=self.serve, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self.thread.start()

    def serve(self) -> None:
        """Answer one caller after another, until the process ends."""
        while True:
            with contextlib.suppress(OSError):
                caller, _ = self.listener.accept()
                with caller:
                    self.answer(caller)

    def answer(self, caller: socket.socket) -> None:
        """Answer one request."""
        deadline = time.monotonic() + CALLER_S
        head = b""
        while b"\r\n\r\n" not in head and len(head) < MAX_HEAD:
            caller.settimeout(max(0.01, deadline - time.monotonic()))
            data = caller.recv(MAX_HEAD)
            if not data or time.monotonic() > deadline:
                return
            head += data
        words = head.partition(b"\r\n")[0].split()
        is_found = words[:1] == [b"GET"] and words[1:2] == [b"/metrics"]
        body = generate_latest(self.registry) if is_found else b"GET /metrics\n"
        caller.settimeout(CALLER_S)
        caller.sendall(
            b"HTTP/1.1 %b\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (b"200 OK" if is_found else b"404 Not Found", len(body), body)
        )
        caller.shutdown(socket.SHUT_WR)
