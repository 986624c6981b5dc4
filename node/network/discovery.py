"""Asks by IPv6's neighbour discovery (RFC 4861) whether a machine is on a link."""

import asyncio
import ipaddress
import socket
import struct

from node.network.links import read_mac

SOLICITATION, ADVERTISEMENT = 135, 136
HEAD = struct.Struct("!BBHI")
SOURCE_LINK_ADDRESS = b"\x01\x01"  # an option of eight bytes
TARGET = slice(8, 24)
GROUPS = ipaddress.IPv6Address("ff02::1:ff00:0")
ICMP6_FILTER = 1  # <linux/icmpv6.h>; a set bit blocks
FILTER_WORDS = 8
NOT_FORWARDED = 255
MOST_BYTES = 1500


async def wait_for_neighbour_6(link: str, address: str, again_s: float) -> None:
    """Return once the machine with an IPv6 address answers on `link`; asks every `again_s`.

    Raises `OSError` if the link can't be used.
    """
    index = socket.if_nametoindex(link)
    target = ipaddress.IPv6Address(address)
    loop = asyncio.get_running_loop()
    with open_socket(ADVERTISEMENT) as wire:
        wire.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        question = build_question(read_mac(link), target)
        while True:
            wire.sendto(question, (str(solicited_group(target)), 0, 0, index))
            try:
                async with asyncio.timeout(again_s):
                    while not is_answer(await loop.sock_recv(wire, MOST_BYTES), target):
                        await asyncio.sleep(0)  # a flood must not keep other links waiting
            except TimeoutError:
                continue
            return


def open_socket(kind: int) -> socket.socket:
    """Return a socket that gets only ICMPv6 messages of this type, with their hop limits."""
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    try:
        raw.setblocking(False)
        words = [0xFFFFFFFF] * FILTER_WORDS
        words[kind // 32] ^= 1 << kind % 32
        raw.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("=8I", *words))
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, NOT_FORWARDED)
    except OSError:
        raw.close()
        raise
    return raw


def solicited_group(address: ipaddress.IPv6Address) -> ipaddress.IPv6Address:
    """Return the group of machines to which an address may belong (RFC 4291, section 2.7.1)."""
    return ipaddress.IPv6Address(int(GROUPS) | int(address) % 2**24)


def build_question(mac: str, target: ipaddress.IPv6Address) -> bytes:
    """Return the question who has an address; the kernel adds the checksum."""
    option = SOURCE_LINK_ADDRESS + bytes.fromhex(mac.replace(":", ""))
    return HEAD.pack(SOLICITATION, 0, 0, 0) + target.packed + option


def is_answer(data: bytes, target: ipaddress.IPv6Address) -> bool:
    """Return whether a message comes from the machine with this address."""
    return len(data) >= TARGET.stop and data[0] == ADVERTISEMENT and data[TARGET] == target.packed
