"""Leases applied to a real kernel, in a network namespace of the test."""

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from tests.helpers.needs import need_root, need_tool

ASSIGN = """
import asyncio, sys
from node.network.interfaces import Interfaces
from node.network.leases import parse_lease
from node.model import NodeError
from node.network.netlink import AsyncIPRoute

async def main():
    async with AsyncIPRoute() as routes:
        interfaces = Interfaces(routes)
        await interfaces.set_up("wire0")
        for mask, address, router in zip(*[iter(sys.argv[1:])] * 3):
            mask, _, mtu = mask.partition(" mtu ")
            options = {"subnet_mask": mask, "router": [router] if router else []}
            options["mtu"] = int(mtu or 0)
            await interfaces.assign(parse_lease("wire0", {"yiaddr": address, "options": options}))

try:
    asyncio.run(main())
except NodeError as error:
    sys.exit(f"refused: {error}")
"""


@pytest.fixture
def namespace() -> Iterator[str]:
    """Create a network namespace with one link, `wire0`; yield its name."""
    need_tool("ip")
    need_root()
    name = f"zos-{uuid.uuid4().hex[:8]}"
    run("ip", "netns", "add", name)
    try:
        run("ip", "-n", name, "link", "add", "wire0", "type", "veth", "peer", "name", "wire1")
        run("ip", "-n", name, "link", "set", "wire1", "up")
        yield name
    finally:
        run("ip", "netns", "delete", name)


def run(*words: str) -> str:
    """Run a program to its end and return its stdout."""
    call = list(words)
    return subprocess.run(call, capture_output=True, text=True, timeout=120, check=True).stdout


def assign(namespace: str, *leases: str) -> subprocess.CompletedProcess[str]:
    """Apply leases (mask, address, router), one after another, in `namespace`."""
    call = ["ip", "netns", "exec", namespace, sys.executable, "-c", ASSIGN, *leases]
    return subprocess.run(call, capture_output=True, text=True, timeout=120, check=False)


def seen(namespace: str) -> tuple[list[str], list[str]]:
    """Return the IPv4 addresses and the gateways of `wire0`."""
    links = json.loads(run("ip", "-n", namespace, "-4", "-json", "addr", "show", "dev", "wire0"))
    infos = [info for link in links for info in link.get("addr_info", ())]
    routes = json.loads(run("ip", "-n", namespace, "-4", "-json", "route"))
    return (
        [f"{info['local']}/{info['prefixlen']}" for info in infos],
        [route["gateway"] for route in routes if route["dst"] == "default"],
    )


def test_an_address_and_a_default_route(namespace: str) -> None:
    done = assign(namespace, "255.255.255.0", "10.9.0.5", "10.9.0.1")
    assert done.returncode == 0, done.stderr
    assert seen(namespace) == (["10.9.0.5/24"], ["10.9.0.1"])


def test_a_router_outside_the_subnet(namespace: str) -> None:
    """Some clouds lease a bare /32 with the router elsewhere."""
    done = assign(namespace, "255.255.255.255", "10.9.0.5", "10.1.1.1")
    assert done.returncode == 0, done.stderr
    assert seen(namespace) == (["10.9.0.5/32"], ["10.1.1.1"])


def test_a_renewed_lease_replaces_the_old_one(namespace: str) -> None:
    old = ("255.255.255.0", "10.9.0.5", "10.9.0.1")
    new = ("255.255.255.0", "10.8.0.7", "10.8.0.1")
    done = assign(namespace, *old, *new)
    assert done.returncode == 0, done.stderr
    assert seen(namespace) == (["10.8.0.7/24"], ["10.8.0.1"])


def mtu(namespace: str) -> int:
    """Return the MTU of `wire0`."""
    return int(json.loads(run("ip", "-n", namespace, "-json", "link", "show", "wire0"))[0]["mtu"])


def test_an_mtu_ends_with_its_lease(namespace: str) -> None:
    small = ("255.255.255.0 mtu 1400", "10.9.0.5", "10.9.0.1")
    own = ("255.255.255.0", "10.9.0.5", "10.9.0.1")
    assert assign(namespace, *small).returncode == 0
    assert mtu(namespace) == 1400
    run("ip", "-n", namespace, "link", "set", "wire0", "mtu", "1500")
    assert assign(namespace, *small, *own).returncode == 0
    assert mtu(namespace) == 1500


def test_an_mtu_that_the_card_refuses_does_not_cost_the_lease(namespace: str) -> None:
    done = assign(namespace, "255.255.255.0 mtu 4000000000", "10.9.0.5", "10.9.0.1")
    assert done.returncode == 0, done.stderr
    assert "cannot set the MTU" in done.stdout
    assert seen(namespace) == (["10.9.0.5/24"], ["10.9.0.1"])
