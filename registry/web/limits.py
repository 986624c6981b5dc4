"""How much the registry takes of one node, and of one address."""

from registry.settings import RegistrySettings
from serving.rates import RateLimit

DAY_MINUTES = 24 * 60


class Limits:
    """The limits of one process. Of a node's own, nobody else can use anything up: they count only
    messages that the node has signed."""

    def __init__(self, settings: RegistrySettings) -> None:
        refusals = settings.refusals_per_minute
        self.refusals = RateLimit(refusals, max(1, int(refusals)))
        new = settings.new_nodes_per_minute
        self.new_nodes = RateLimit(new, max(1, int(new)))
        self.reports = RateLimit(settings.node_reports_per_minute, settings.node_reports_burst)
        size = settings.node_bytes_per_day
        self.bytes = RateLimit(size / DAY_MINUTES, size)
