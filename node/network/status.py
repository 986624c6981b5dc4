"""What the network is and why: `/run/zero-os/network.json` (docs/network.md has its fields)."""

import json
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from common.files import write_atomic
from node.log import log
from node.network.choice import CHOSEN_METRIC
from node.network.leases import Lease, Source
from node.network.links import describe_driver, has_carrier, read_mac, read_mtu
from node.network.machine import Machine
from node.network.plan import Plan
from node.network.table import Assign, Link

PLACE = Path("/run/zero-os/network.json")
FORMAT = 1
MAX_DECISIONS = 50
MAX_IGNORED = 50
KERNEL_METRIC = 1024  # of the default routes that routers advertise
NAMES = {
    Source.DHCP: "dhcp",
    Source.DHCP6: "dhcp6",
    Source.ROUTER: "router",
    Source.STATIC: "static",
}


class Status:
    """The file; it is written when its content has changed."""

    def __init__(self, place: Path, plan: Plan, ignored: Iterable[str] = ()) -> None:
        self.place = place
        self.plan = plan
        self.ignored = list(ignored)[:MAX_IGNORED]
        self.decisions: deque[dict[str, Any]] = deque(maxlen=MAX_DECISIONS)
        self.written: dict[str, Any] = {}
        self.fault = ""

    def note(self, text: str) -> None:
        """Keep a decision."""
        self.decisions.append({"time": round(time.time(), 3), "text": text})

    def write(self, machine: Machine) -> None:
        """Write the file if anything has changed; the network does not depend on it."""
        found = self.describe(machine)
        if found == self.written:
            return
        text = json.dumps({"format": FORMAT, "time": round(time.time(), 3), **found}, indent=1)
        try:
            self.place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            write_atomic(self.place, text.encode() + b"\n")
            self.written, self.fault = found, ""
        except OSError as error:
            if self.fault != str(error):
                log("network", f"cannot write {self.place}: {error}; trying again")
            self.fault = str(error)

    def describe(self, machine: Machine) -> dict[str, Any]:
        """Return the file's content without its time."""
        lease = machine.network_lease()
        applied = machine.applied
        return {
            "state": "up" if machine.chosen else "waiting",
            "chosen": machine.chosen or None,
            "links": [describe_link(link, applied) for link in machine.links.values()],
            "default_routes": default_routes(applied.values()),
            "name_servers": list(lease.name_servers) if lease else [],
            "search": list(lease.search) if lease else [],
            **describe_plan(self.plan),
            "decisions": list(self.decisions),
            "parameters_ignored": self.ignored,
        }


def describe_plan(plan: Plan) -> dict[str, Any]:
    """Return what the command line asks for."""
    bond = {"mode": plan.bond.mode, "members": list(plan.bond.cards)} if plan.bond else None
    return {
        "proxy": plan.proxy or None,
        "vlan": plan.vlan or None,
        "bond": bond,
        "public": {"vlan": plan.public_vlan or None, "mac": plan.public_mac},
    }


def describe_link(link: Link, applied: dict[tuple[str, Source], Assign]) -> dict[str, Any]:
    """Return one link."""
    return {
        "name": link.name,
        "mac": read_mac(link.name),
        "driver": describe_driver(link.name),
        "state": link.state.value,
        "carrier": has_carrier(link.name),
        "mtu": read_mtu(link.name),
        "router_answers": not link.is_silent,
        "fault": link.fault or None,
        "leases": [
            describe_lease(lease, applied.get((link.name, source)))
            for source, lease in link.leases.items()
        ],
    }


def describe_lease(lease: Lease, one: Assign | None) -> dict[str, Any]:
    """Return one lease; `metric` is null if its address is not set."""
    routes = [{"network": str(route.network), "gateway": route.gateway} for route in lease.routes]
    return {
        "source": NAMES[lease.source],
        "address": str(lease.interface),
        "router": lease.router or None,
        "name_servers": list(lease.name_servers),
        "search": list(lease.search),
        "routes": routes,
        "mtu": lease.mtu or None,
        "metric": one.metric if one else None,
    }


def default_routes(applied: Iterable[Assign]) -> list[dict[str, Any]]:
    """Return the default routes that are set, the best first."""
    found = [
        {
            "link": one.lease.link,
            "router": one.lease.router,
            "version": one.lease.interface.version,
            "metric": default_metric(one),
        }
        for one in applied
        if one.lease.router
    ]
    return sorted(found, key=lambda route: route["metric"])


def default_metric(one: Assign) -> int:
    """Return the metric of a lease's default route; the kernel sets IPv6's of standby links."""
    is_kernels = one.lease.interface.version == 6 and one.metric != CHOSEN_METRIC
    return KERNEL_METRIC if is_kernels else one.metric
