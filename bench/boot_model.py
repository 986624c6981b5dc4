"""More nodes than a test machine can play: a model of a boot storm. Pure.

A server is a processor that handles requests in turn, and a link that all downloads share evenly,
none of them faster than its node's own link. Both are what this machine measured, or what is said.
"""

import heapq
from dataclasses import dataclass


@dataclass(frozen=True)
class Site:
    """The assumptions. `cpu_s` is for one boot's requests and bytes, on one server."""

    nodes: int
    over_s: float  # they start evenly over this time
    release_bytes: int
    cpu_s: float
    link_bytes_s: float  # of each server
    node_bytes_s: float  # of each node
    servers: int = 1


def simulate(site: Site) -> list[float]:
    """Return the seconds that each node takes from its first request to its last byte."""
    times = []
    for server in range(site.servers):
        starts = [n * site.over_s / site.nodes for n in range(server, site.nodes, site.servers)]
        times += share_link(site, queue(starts, site.cpu_s))
    return sorted(times)


def queue(starts: list[float], cpu_s: float) -> list[tuple[float, float]]:
    """Return when each node starts, and when its requests have been handled in turn."""
    free, done = 0.0, []
    for start in starts:
        free = max(free, start) + cpu_s
        done.append((start, free))
    return done


def share_link(site: Site, nodes: list[tuple[float, float]]) -> list[float]:
    """Return the seconds of each node, whose downloads begin when its requests are handled.

    All downloads have the same size and the same rate at any time, so they end in the order in
    which they began: each ends when a download that never ended would have got its bytes more.
    """
    times, running = [], list[tuple[float, float]]()
    now = got = 0.0  # got: the bytes of a download that runs from the beginning on
    pending = sorted(nodes, key=lambda node: node[1])[::-1]
    while pending or running:
        begins = pending[-1][1] if pending else float("inf")
        rate = min(site.node_bytes_s, site.link_bytes_s / max(1, len(running)))
        ends = now + (running[0][0] - got) / rate if running else float("inf")
        is_begin = begins <= ends
        at = min(begins, ends)
        got += rate * (at - now) if running else 0.0
        now = at
        if is_begin:
            heapq.heappush(running, (got + site.release_bytes, pending.pop()[0]))
        else:
            times.append(now - heapq.heappop(running)[1])
    return times
