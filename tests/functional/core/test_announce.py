"""API and announcement run confined; a node is found by mDNS from the other end of a cable."""

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from pyroute2 import IPRoute

from common.ipc.client import call
from core.announce import daemon as announce
from core.announce.record import Record
from core.api import daemon as api
from core.certificates.farmkey import public_of, show_public
from core.certificates.names import Role
from core.places import ANNOUNCE, API, API_PORT, RUN, socket_of
from core.remote.client import NodeClient, Target
from core.remote.discover import Found, discover
from core.sandbox.status import parse_status
from tests.helpers.child import leave_network
from tests.helpers.core.api import FARM, SERVICES, FakeNode, Farm
from tests.helpers.core.daemons import daemon, run_on_stage, served, set_command_line

NODE_ADDRESS, MOVED_ADDRESS, CALLER_ADDRESS = "10.98.0.1", "10.98.0.2", "10.98.0.9"
CARD, WIRE = "node0", "wire0"
FIND_S = 60.0


class OtherEnd:
    """A process in a network of its own, which does one thing once it is told to."""

    def __init__(self, work: Callable[[], None]) -> None:
        here, self._told = os.pipe()
        there, is_there = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                leave_network()
                os.write(is_there, b"x")
                os.read(here, 1)
                work()
                os._exit(0)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        assert os.read(there, 1)

    def go(self) -> None:
        """Let it work; fail if it fails."""
        os.write(self._told, b"x")
        assert os.waitpid(self.pid, 0)[1] == 0, "the other end failed; its output says why"


def set_up(name: str, *addresses: str) -> None:
    with IPRoute() as route:
        for card in ("lo", name):
            route.link("set", index=route.link_lookup(ifname=card)[0], state="up")
        index = route.link_lookup(ifname=name)[0]
        for address in addresses:
            route.addr("add", index=index, address=address, prefixlen=24)


def move(old: str, new: str) -> None:
    with IPRoute() as route:
        index = route.link_lookup(ifname=CARD)[0]
        route.addr("delete", index=index, address=old, prefixlen=24)
        route.addr("add", index=index, address=new, prefixlen=24)


def find(node: str, address: str) -> Found:
    """Return the node once it announces an address."""
    deadline = time.monotonic() + FIND_S
    while True:
        for found in discover(2.0, node):
            if address in found.addresses:
                return found
        assert time.monotonic() < deadline, "the node does not announce itself"


def test_a_node_is_found_and_called_over_a_cable() -> None:
    run_on_stage(find_and_call)


def find_and_call() -> None:
    node, farm = FakeNode(), Farm(RUN)
    certificate = farm.certificate(Role.READER)

    def from_there() -> None:
        set_up(WIRE, CALLER_ADDRESS)
        found = find(node.identity.node, NODE_ADDRESS)
        assert found.record == Record(node.identity.node, FARM, "0.1.0", API_PORT)
        target = Target(found.record.node, NODE_ADDRESS, found.record.port)
        assert NodeClient(target, certificate).get("/services") == SERVICES

    def after_the_move() -> None:
        set_up(WIRE, CALLER_ADDRESS)
        find(node.identity.node, MOVED_ADDRESS)

    leave_network()
    first = OtherEnd(from_there)
    set_command_line(f"farmer_id={FARM} farm.key={show_public(public_of(farm.key))}\n")
    methods = node.daemons()
    with (
        served("door", methods["door"]),
        served("identity", methods["identity"]),
        served("capacity", methods["capacity"]),
        daemon(api.PROFILE, api.main) as serving,
    ):
        lay_cable(first)
        with daemon(announce.PROFILE, announce.main) as talking:
            first.go()
            check_confinement(serving, API.number)
            check_confinement(talking, ANNOUNCE.number)
            second = OtherEnd(after_the_move)
            lay_cable(second)
            move(NODE_ADDRESS, MOVED_ADDRESS)
            second.go()
        assert call(socket_of("api"), "status")["problem"] == ""


def lay_cable(other: OtherEnd) -> None:
    """Connect this network with that of the other end."""
    with IPRoute() as route:
        for index in route.link_lookup(ifname=CARD):
            route.link("del", index=index)
        peer = {"ifname": WIRE, "net_ns_pid": other.pid}
        route.link("add", ifname=CARD, kind="veth", peer=peer)
    set_up(CARD, NODE_ADDRESS)


def check_confinement(process: int, number: int) -> None:
    fields = parse_status(Path(f"/proc/{process}/status").read_text())
    assert fields["Uid"].split() == [str(number)] * 4
    assert fields["CapEff"] == fields["CapBnd"] == "0" * 16
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
