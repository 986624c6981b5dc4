"""Brings up the network of a node: links, DHCP leases, addresses and routes."""

from pathlib import Path

from node.network.links import wired_links

RESOLV_CONF = Path("/etc/resolv.conf")


def main() -> int:
    """Run the network service on the links that `wired_links` finds; only SIGTERM ends it."""
    from node.network.service import serve

    return serve(wired_links, RESOLV_CONF)
