"""Asks by ARP (RFC 826) whether a machine is on a link, which tells where an address belongs."""

import asyncio
import contextlib
import socket
import struct

MESSAGE = struct.Struct("!HHBBH6s4s6s4s")
ETHERNET, REQUEST, REPLY = 1, 1, 2
ETH_P_IP, ETH_P_ARP = 0x0800, 0x0806
MAC_BYTES, ADDRESS_BYTES = 6, 4
EVERYONE = b"\xff" * MAC_BYTES
AGAIN_S = 1.0


async def wait_for_neighbour(link: str, own: str, address: str, again_s: float = AGAIN_S) -> None:
    """Return once the machine with an IPv4 address answers on `link`; asks every `again_s`.

    `own` is the asking address. Raises `OSError` if the link can't be used.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_ARP)) as wire:
        wire.setblocking(False)
        wire.bind((link, ETH_P_ARP))
        question = build_request(wire.getsockname()[4], own, address)
        while True:
            wire.sendto(question, (link, ETH_P_ARP, 0, 0, EVERYONE))
            try:
                async with asyncio.timeout(again_s):
                    while not is_reply(await loop.sock_recv(wire, MESSAGE.size), address):
                        await asyncio.sleep(0)  # a flood must not keep other links waiting
            except TimeoutError:
                continue
            return


def announce(link: str, own: str) -> None:
    """Tell a link's machines where an address is now: another card may have had it.

    Nothing is raised if the link is down: the next question tells them, too.
    """
    kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
    with contextlib.suppress(OSError), socket.socket(socket.AF_PACKET, kind) as wire:
        wire.bind((link, ETH_P_ARP))
        question = build_request(wire.getsockname()[4], own, own)
        wire.sendto(question, (link, ETH_P_ARP, 0, 0, EVERYONE))


def build_request(mac: bytes, own: str, address: str) -> bytes:
    """Return the question who has an address."""
    sender, target = socket.inet_aton(own), socket.inet_aton(address)
    kinds = (ETHERNET, ETH_P_IP, MAC_BYTES, ADDRESS_BYTES, REQUEST)
    return MESSAGE.pack(*kinds, mac, sender, bytes(MAC_BYTES), target)


def is_reply(data: bytes, address: str) -> bool:
    """Return whether a message comes from the machine with this address."""
    if len(data) < MESSAGE.size:
        return False
    kind, protocol, mac_bytes, address_bytes, what, _, sender, _, _ = MESSAGE.unpack_from(data)
    sizes = (kind, protocol, mac_bytes, address_bytes)
    is_ours = sizes == (ETHERNET, ETH_P_IP, MAC_BYTES, ADDRESS_BYTES) and what == REPLY
    return is_ours and sender == socket.inet_aton(address)
