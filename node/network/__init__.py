"""Brings up the network of a node: links, VLANs, DHCP leases, addresses and routes."""

from functools import partial
from pathlib import Path

from node.cmdline import parse_words
from node.log import log
from node.network.links import wired_links
from node.network.plan import parse_plan

RESOLV_CONF = Path("/etc/resolv.conf")


def main() -> int:
    """Run the network service on the links that `wired_links` finds; only SIGTERM ends it."""
    from node.network.service import serve

    words = parse_words(Path("/proc/cmdline").read_text(errors="replace"))
    return serve(wired_links, RESOLV_CONF, parse_plan(words, partial(log, "network")))
