"""Brings up the network of a node: links, VLANs, bonds, leases, addresses and routes."""

from pathlib import Path

from common.bootwords import find_ignored, read_unclaimed, read_words
from node.log import log
from node.network.links import wired_links
from node.network.plan import parse_plan

RESOLV_CONF = Path("/etc/resolv.conf")


def main() -> int:
    """Run the network service on the links that `wired_links` finds; only SIGTERM ends it."""
    from node.network.service import serve
    from node.network.status import PLACE, Status

    words = read_words(Path("/proc/cmdline").read_text(errors="replace"))
    ignored = find_ignored(words, read_unclaimed())
    plan = parse_plan(words.chosen(), ignored.append)
    for line in ignored:
        log("network", line)
    return serve(wired_links, RESOLV_CONF, plan, Status(PLACE, plan, ignored))
