"""One link's DHCP client, which holds a lease until it is lost: the shell around `Machine`."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from node.model import NodeError
from node.network.dhcp.machine import Bind, Effect, End, Event, Machine, Send
from node.network.dhcp.message import Reply, build_message, parse_message
from node.network.dhcp.wire import (
    EVERYONE,
    EVERYONE_ADDRESS,
    MOST_BYTES,
    Wire,
    open_wire,
    unwrap,
)
from node.network.leases import Lease, parse_lease

ATTEMPT_S = 20.0  # after that a new client starts, with a new transaction


class LeaseLostError(NodeError):
    """The lease has run out, or a server refused it."""


async def hold_lease(name: str, accept: Callable[[Lease], Awaitable[None]]) -> None:
    """Request a lease on link `name` and pass it to `accept`, until it is lost; never returns.

    `accept` is called again for every renewal. Raises `LeaseLostError` when the lease is lost or a
    server refuses one, `TimeoutError` if no server grants one within `ATTEMPT_S`, and what `accept`
    raises. A lease that is still good in the end is given back to the server.
    """
    with open_wire(name) as wire:
        client = Client(wire, accept)
        try:
            await client.run()
        finally:
            client.release()


class Client:
    """A machine with its wire, and the addresses of the server that granted the lease."""

    def __init__(self, wire: Wire, accept: Callable[[Lease], Awaitable[None]]) -> None:
        self.wire = wire
        self.accept = accept
        self.machine = Machine(wire.mac)
        self._hop = EVERYONE  # the card from which the last good message came

    async def run(self) -> None:
        """Send and receive until the lease is lost."""
        give_up_at = time.monotonic() + ATTEMPT_S
        await self._do(self.machine.step(Event.START, time.monotonic()))
        while True:
            due = self.machine.next_due()
            until = due[0] if due else None
            if self.machine.lease is None:
                until = min(until or give_up_at, give_up_at)
            received = await self._receive(until)
            now = time.monotonic()
            if received:
                await self._do(self.machine.step(received[0], now, received[1]))
            elif self.machine.lease is None and now >= give_up_at:
                raise TimeoutError
            elif due and now >= due[0]:
                await self._do(self.machine.step(due[1], now))

    def release(self) -> None:
        """Give a lease back."""
        effect = self.machine.release()
        if effect:
            self._send(effect)

    async def _receive(self, until: float | None) -> tuple[Event, Reply] | None:
        """Return the next message for this client; None at the time `until`."""
        delay_s = None if until is None else max(until - time.monotonic(), 0.0)
        try:
            async with asyncio.timeout(delay_s):
                while True:
                    # A flood must neither keep the timer from running nor the other links waiting.
                    await asyncio.sleep(0)
                    found = await self._receive_one()
                    if found:
                        return found
        except TimeoutError:
            return None

    async def _receive_one(self) -> tuple[Event, Reply] | None:
        loop = asyncio.get_running_loop()
        packet, sender = await loop.sock_recvfrom(self.wire.packets, MOST_BYTES)
        message = unwrap(packet)
        reply = parse_message(message) if message is not None else None
        event = self.machine.accepts(reply) if reply else None
        if reply is None or event is None:
            return None
        self._hop = sender[4]
        return event, reply

    async def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send():
                    self._send(effect)
                case Bind(reply):
                    ack = {"yiaddr": reply.address, "options": reply.options}
                    await self.accept(parse_lease(self.wire.link, ack))
                case End(reason):
                    raise LeaseLostError(reason)

    def _send(self, effect: Send) -> None:
        request = effect.request
        message = build_message(request)
        if effect.is_broadcast:
            self.wire.send(message, request.own, EVERYONE_ADDRESS)
        else:
            server = request.server or self._server
            self.wire.send(message, request.own, server, self._hop)

    @property
    def _server(self) -> str:
        return self.machine.lease.server if self.machine.lease else EVERYONE_ADDRESS
