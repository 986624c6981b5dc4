"""How much the registry takes of one node, of one farm, of one address, and in all."""

from typing import NamedTuple

from registry.settings import RegistrySettings
from serving.rates import RateLimit

DAY_MINUTES = 24 * 60
REPEATS = 10
"""So many times the limit of refusals is that of known nodes' reports that are out of order: honest
nodes behind one address send some, when an answer is lost."""
EVERYBODY = ""


class Charge(NamedTuple):
    """What a message takes of a limit, and what its sender is told where that is not left."""

    limit: RateLimit
    whose: str
    amount: float
    fault: str
    hint: str


class Limits:
    """The limits of one process. Of a node's and a farm's own, nobody else can use anything up:
    they count only what its key has signed and what is its next message, since those of the past
    are public. Tables of addresses and nodes are bounded, so who has many of them is held by the
    limits for everybody."""

    def __init__(self, settings: RegistrySettings) -> None:
        self.settings = settings
        refusals = settings.refusals_per_minute
        self.refusals = RateLimit(refusals, max(1, int(refusals)))
        self.repeats = RateLimit(REPEATS * refusals, max(1, int(REPEATS * refusals)))
        new = settings.new_nodes_per_minute
        self.new_nodes = RateLimit(new, max(1, int(new)))
        self.reports = RateLimit(settings.node_reports_per_minute, settings.node_reports_burst)
        self.node_bytes = a_day(settings.node_bytes_per_day)
        self.owners = a_day(settings.farm_messages_per_day)
        self.farmers = a_day(settings.farm_messages_per_day)
        self.address_bytes = a_day(settings.address_bytes_per_day)
        self.unproven_bytes = a_day(settings.unproven_bytes_per_day)
        self.total_bytes = a_day(settings.total_bytes_per_day)

    def of_report(self, node: str) -> Charge:
        """Return what any report takes, whatever its size."""
        hint = f"report every {self.settings.interval:.0f} s, as answers say"
        return Charge(self.reports, node, 1, "too many reports of this node", hint)

    def of_bytes(self, node: str, size: int) -> list[Charge]:
        """Return what the bytes of any report take."""
        hint = f"send less: {self.settings.node_bytes_per_day} bytes a day are taken of one node"
        fault = "too many bytes of this node's reports"
        return [Charge(self.node_bytes, node, size, fault, hint), self.of_all(size)]

    def of_new_node(self, address: str) -> Charge:
        """Return what a node's first report takes."""
        hint = f"{self.settings.new_nodes_per_minute:g} a minute are taken: try again later"
        return Charge(self.new_nodes, address, 1, "too many new nodes from this address", hint)

    def of_farm(self, key: str, address: str, size: int) -> list[Charge]:
        """Return what any message of a farm takes."""
        hint = f"{self.settings.farm_messages_per_day} a day are taken: try again later"
        return [
            Charge(self.owners, key, 1, "too many messages of this farm's owner", hint),
            Charge(self.farmers, address, 1, "too many messages of farms from this address", hint),
            self.of_all(size),
        ]

    def of_unproven(self, address: str, size: int, hint: str) -> list[Charge]:
        """Return what a message takes that no token vouches for; `hint` is how to get one."""
        here, fault = "from this address", "too many bytes without a token"
        return [
            Charge(self.address_bytes, address, size, f"{fault} {here}", hint),
            Charge(self.unproven_bytes, EVERYBODY, size, f"{fault} from all addresses", hint),
        ]

    def of_all(self, size: int) -> Charge:
        """Return what any message takes of what the registry takes in a day."""
        fault = "the registry has taken as many bytes as it takes in a day"
        return Charge(self.total_bytes, EVERYBODY, size, fault, "try again later")


def a_day(count: int) -> RateLimit:
    """Return the limit that allows so much a day, all of it at once if need be."""
    return RateLimit(count / DAY_MINUTES, max(1, count))
