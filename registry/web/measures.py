"""The registry's own metrics."""

from prometheus_client import Counter

from serving.metrics import Metrics


class Measures:
    """Counts what nodes send. Gauges that workers share would be added up, so there is none."""

    def __init__(self, metrics: Metrics) -> None:
        own = metrics.registry
        self.reports = Counter(
            "zos_registry_reports", "Reports that nodes have signed, by kind", ("kind",),
            registry=own,
        )  # fmt: skip
        self.refused = Counter(
            "zos_registry_refused", "Reports that were refused, by status", ("status",),
            registry=own,
        )  # fmt: skip
        self.doubted = Counter(
            "zos_registry_doubted", "Reports in the log that do not count as availability",
            registry=own,
        )  # fmt: skip
