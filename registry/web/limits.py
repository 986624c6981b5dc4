"""How much the registry takes of one node, and of one address."""

from registry.settings import RegistrySettings
from serving.rates import RateLimit

DAY_MINUTES = 24 * 60
REPEATS = 10
"""So many times the limit of refusals is that of known nodes' reports that are out of order: honest
nodes behind one address send some, when an answer is lost."""


class Limits:
    """The limits of one process. Of a node's own, nobody else can use anything up: they count only
    messages that the node has signed and that are its next: reports of the past are public."""

    def __init__(self, settings: RegistrySettings) -> None:
        refusals = settings.refusals_per_minute
        self.refusals = RateLimit(refusals, max(1, int(refusals)))
        self.repeats = RateLimit(REPEATS * refusals, max(1, int(REPEATS * refusals)))
        new = settings.new_nodes_per_minute
        self.new_nodes = RateLimit(new, max(1, int(new)))
        self.reports = RateLimit(settings.node_reports_per_minute, settings.node_reports_burst)
        size = settings.node_bytes_per_day
        self.bytes = RateLimit(size / DAY_MINUTES, size)
