"""One link's DHCPv6 client: the shell around `Machine`."""

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import Callable, Iterator

from node.model import NodeError
from node.network.dhcp6.machine import Bind, Effect, End, Event, Machine, Note, Send
from node.network.dhcp6.message import Reply, build_message, make_duid, parse_message
from node.network.leases import Lease, Source, Told
from node.network.links import read_mac

CLIENT_PORT, SERVER_PORT = 546, 547
ALL_SERVERS = "ff02::1:2"
SO_BINDTODEVICE = 25
MOST_BYTES = 4096
PREFIX = 128  # what is on the link, routers advertise
UNREADY_S = 0.2  # before the link's own address can be used


class LeaseLostError(NodeError):
    """The lease has run out, or a server refused it."""


async def hold_lease(
    name: str,
    grant: Callable[[Lease], None],
    note: Callable[[Told], None],
    *,
    is_stateful: bool,
) -> None:
    """Pass leases on link `name` to `grant`, or what is beside an address to `note`.

    Never returns. Raises `LeaseLostError` when a lease is lost, `OSError` if the link can't be
    used. A lease that is still good in the end is given back to the server.
    """
    with open_wire(name) as wire:
        client = Client(name, wire, grant, note)
        try:
            await client.run(Event.START if is_stateful else Event.START_STATELESS)
        finally:
            if effect := client.machine.release():
                await client.send(effect, tries=1)


@contextlib.contextmanager
def open_wire(name: str) -> Iterator[socket.socket]:
    """Open the client's socket on a link, and close it in the end."""
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    with socket.socket(socket.AF_INET6, kind) as wire:
        wire.setsockopt(socket.SOL_SOCKET, SO_BINDTODEVICE, name.encode() + b"\0")
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        wire.bind(("::", CLIENT_PORT))
        yield wire


class Client:
    """A machine with its socket."""

    def __init__(
        self,
        name: str,
        wire: socket.socket,
        grant: Callable[[Lease], None],
        note: Callable[[Told], None],
    ) -> None:
        self.name = name
        self.wire = wire
        self.grant = grant
        self.note = note
        self.machine = Machine(make_duid(bytes.fromhex(read_mac(name).replace(":", ""))))

    async def run(self, start: Event) -> None:
        """Send and receive until the lease is lost."""
        await self.do(self.machine.step(start, time.monotonic()))
        while True:
            due = self.machine.next_due()
            received = await self.receive(due[0] if due else None)
            now = time.monotonic()
            if received:
                await self.do(self.machine.step(received[0], now, received[1]))
            elif due and now >= due[0]:
                await self.do(self.machine.step(due[1], now))

    async def receive(self, until: float | None) -> tuple[Event, Reply] | None:
        """Return the next message for this client; None at the time `until`."""
        loop = asyncio.get_running_loop()
        delay_s = None if until is None else max(until - time.monotonic(), 0.0)
        try:
            async with asyncio.timeout(delay_s):
                while True:
                    await asyncio.sleep(0)  # a flood must not keep other links waiting
                    data, sender = await loop.sock_recvfrom(self.wire, MOST_BYTES)
                    reply = parse_message(data) if sender[0].startswith("fe80:") else None
                    event = self.machine.accepts(reply) if reply else None
                    if reply and event:
                        return event, reply
        except TimeoutError:
            return None

    async def do(self, effects: list[Effect]) -> None:
        """Do what the machine says."""
        for effect in effects:
            match effect:
                case Send():
                    await self.send(effect)
                case Bind(reply):
                    self.grant(make_lease(self.name, reply))
                case Note(reply):
                    self.note(Told(reply.name_servers, reply.search))
                case End(reason):
                    raise LeaseLostError(reason)

    async def send(self, effect: Send, tries: int = 10) -> None:
        """Send a message; a link that was just set up has to check its own address first."""
        target = (ALL_SERVERS, SERVER_PORT, 0, socket.if_nametoindex(self.name))
        for _ in range(tries):
            with contextlib.suppress(OSError):
                self.wire.sendto(build_message(effect.request), target)
                return
            await asyncio.sleep(UNREADY_S)


def make_lease(name: str, reply: Reply) -> Lease:
    """Return the lease in a server's reply; it names no router."""
    assert reply.address is not None
    interface = ipaddress.IPv6Interface(f"{reply.address.address}/{PREFIX}")
    servers, search = reply.name_servers, reply.search
    return Lease(name, interface, "", servers, search=search, source=Source.DHCP6)
