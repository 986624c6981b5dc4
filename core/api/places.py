"""How many callers there may be at a time, in all and from one place. No I/O."""

from collections import Counter
from ipaddress import IPv6Address, ip_address

IN_ALL = 32
FROM_ONE = 8
SITE_BITS = 64  # of an IPv6 address, which one machine can have all of


class Places:
    """Counts connections."""

    def __init__(self, in_all: int = IN_ALL, from_one: int = FROM_ONE) -> None:
        self.in_all, self.from_one = in_all, from_one
        self._taken: Counter[str] = Counter()

    def take(self, address: str) -> bool:
        """Take a place for an address; return whether there is one."""
        site = site_of(address)
        if self._taken.total() >= self.in_all or self._taken[site] >= self.from_one:
            return False
        self._taken[site] += 1
        return True

    def give_back(self, address: str) -> None:
        """Give a place back."""
        site = site_of(address)
        self._taken[site] -= 1
        if not self._taken[site]:
            del self._taken[site]


def site_of(address: str) -> str:
    """Return what one machine's addresses have in common."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped:
            return str(found.ipv4_mapped)
        return str(int(found) >> SITE_BITS)
    return str(found)


def plain_address(address: str) -> str:
    """Return an address as people know it: IPv4 without the prefix that a dual socket adds."""
    return address.removeprefix("::ffff:")
