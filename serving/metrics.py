"""Prometheus metrics of one application, in a registry of its own."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

if TYPE_CHECKING:
    from serving.workers.samples import Share

METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"))
UNMATCHED = "(none)"
"""The route of a request that no route takes: a label must not come from a client."""
disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody asked for

BUCKETS_S = (0.005, 0.02, 0.1, 0.5, 1, 5, 20, 60, 300)


class Metrics:
    """What `GET /metrics` shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.share: Share | None = None  # if this process is one of several workers
        self.requests = Counter(
            "zos_http_requests",
            "Requests by route template, method and status",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self.duration = Histogram(
            "zos_http_request_duration_seconds",
            "Time from a request's head to the end of its response",
            ("route",),
            buckets=BUCKETS_S,
            registry=self.registry,
        )
        self.sent = Counter(
            "zos_http_sent_bytes", "Body bytes of responses", ("route",), registry=self.registry
        )
        self.in_flight = Gauge(
            "zos_http_transfers_in_flight", "Requests being answered", registry=self.registry
        )
        self.rejected = Counter(
            "zos_http_rejected",
            "Connections and requests that a limit ended or refused",
            ("reason",),
            registry=self.registry,
        )

    def watch(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is read when the metrics are."""
        Gauge(name, text, registry=self.registry).set_function(read)

    def note(self, route: str, method: str, status: int, took_s: float) -> None:
        """Count one request that has been answered."""
        label = method if method in METHODS else "OTHER"
        self.requests.labels(route, label, str(status)).inc()
        self.duration.labels(route).observe(took_s)

    def total(self, metric: Counter, prefix: str = "", **labels: str) -> float:
        """Return the sum of a counter over the routes that begin with `prefix`."""
        return sum(
            sample.value
            for family in metric.collect()
            for sample in family.samples
            if sample.name.endswith("_total")
            and sample.labels.get("route", "").startswith(prefix)
            and labels.items() <= sample.labels.items()
        )

    def render(self) -> bytes:
        """Return the metrics in Prometheus' text format: the sums over all workers."""
        return generate_latest(self.share.total() if self.share else self.registry)
