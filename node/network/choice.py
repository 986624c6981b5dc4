"""Which link a node uses, and which addresses and routes follow from that. No I/O and no clock."""

from collections.abc import Iterable

from node.network.leases import Lease, Source, by_preference
from node.network.table import Assign, Link, State

PATIENCE_S = 10.0  # from the first incomplete lease
GRACE_S = 1.0  # without a carrier before another link takes over: some cards blink
CHOSEN_METRIC = 100
OTHER_METRIC = 2000  # and above: higher than the kernel's own for what routers advertise

Worth = tuple[bool, bool, tuple[bool, bool], bool]
NOTHING: Worth = (False, False, (False, False), False)


def is_usable(link: Link, now: float) -> bool:
    """Return whether a link has a lease and a carrier, or has lost that only for a moment."""
    blinks = link.state is State.FADING and now < link.lost_at + GRACE_S
    return bool(link.leases) and (link.state is State.HELD or blinks)


def worth(link: Link, now: float) -> Worth:
    """Return how much a node can do with a link; with more, if it is greater."""
    lease = link.best
    if lease is None:
        return NOTHING
    reaches = bool(lease.router) and lease.is_proven and not link.is_silent
    return is_usable(link, now), reaches, lease.rank, lease.source in (Source.DHCP, Source.STATIC)


def patience_ends(links: Iterable[Link], now: float) -> float:
    """Return from when an incomplete lease is accepted."""
    return min((link.held_at for link in links if link.leases), default=now) + PATIENCE_S


def pick(links: Iterable[Link], now: float) -> Link | None:
    """Return the link to choose if none were chosen yet; None if it is better to wait.

    Equal links have upstream's order: a private router first, then the smallest address.
    """
    links = list(links)
    usable = [link for link in links if is_usable(link, now)]
    if not usable:
        return None
    usable.sort(key=order)
    found = max(usable, key=lambda link: worth(link, now))  # the first one of equals
    if patience_ends(links, now) <= now:
        return found
    complete = [link for link in usable if link.best and is_complete(link.best)]
    return max(complete, key=lambda link: worth(link, now), default=None)


def is_complete(lease: Lease) -> bool:
    """Return whether a lease is good enough at once: a DHCP server may be slower than a router."""
    return lease.is_complete and lease.source in (Source.DHCP, Source.STATIC)


def order(link: Link) -> tuple[object, ...]:
    """Return what sorts links that are worth the same."""
    return by_preference(link.best) if link.best else ()


def assignments(links: Iterable[Link], chosen: str) -> list[Assign]:
    """Return what shall be set: of each link the best lease, of the chosen one also IPv6's.

    A static address is set on the chosen link only, and no address on two.
    """
    found: dict[object, Assign] = {}
    for link in sorted(links, key=lambda link: link.name != chosen):
        is_chosen = link.name == chosen
        metric = CHOSEN_METRIC if is_chosen else OTHER_METRIC + link.number
        for lease in link.leases.values():
            is_wanted = is_chosen or lease.source is not Source.STATIC
            is_best = lease == link.best or (is_chosen and lease.interface.version == 6)
            if is_wanted and is_best:
                found.setdefault(lease.interface.ip, Assign(lease, metric))
    return list(found.values())


def watched(links: Iterable[Link]) -> tuple[Lease, ...]:
    """Return the leases whose routers are watched: all, if there is a choice, else none."""
    held = [link.best for link in links if link.state is State.HELD]
    routed = tuple(lease for lease in held if lease and lease.router)
    return routed if len(routed) > 1 else ()
