"""The part of a script that gives the node a network: which card, which address.

A card without a link does not replace the reason of one that got further.
"""

from functools import lru_cache
from ipaddress import ip_interface

from bootstrap_server.options.network import Network
from bootstrap_server.script.commands import (
    BLANK,
    Block,
    Line,
    Ref,
    block,
    command,
    echo,
    goto,
    ifconf,
    iflinkwait,
    inc,
    iseq,
    isset,
    label,
    set_,
    set_number,
    vcreate,
)
from bootstrap_server.script.names import (
    ADDRESS,
    ADDRESS6,
    CARD,
    CODE,
    GATEWAY,
    GATEWAY6,
    INDEX,
    MAC,
    ROUND,
)

ROUNDS = 4
LINK_MS = 15_000
NO_WAIT_MS = 1_000
KEPT = 32  # networks whose lines are made once: most images have the usual one


def tell_network(network: Network) -> list[Line]:
    """Say what was chosen for the network, if anything was."""
    found = network.as_mapping()
    texts = [f"{name} {' '.join(v) if isinstance(v, list) else v}" for name, v in found.items()]
    return [echo("Zero-OS: network:", ", ".join(texts))] if texts else []


@lru_cache(KEPT)
def take_a_card(network: Network) -> Block:
    """Go round the cards, or to the chosen one, and make the VLAN on it."""
    lines: list[Line] = [
        BLANK,
        label("round"),
        inc("round"),
        set_number("index", 0),
        BLANK,
        label("card"),
        set_("card", ("net", INDEX)),
        isset(MAC).otherwise(goto("round_over")),
    ]
    if network.interface:
        lines += [
            iseq(MAC, network.interface).otherwise(goto("other_card")),
            iseq(CODE, "ZB15").then(set_("code", "ZB17")).ignored(),
        ]
    if network.vlan:
        name = (CARD, f"-{network.vlan}")
        lines += [
            isset(Ref(*name, "/mac")).otherwise(vcreate(CARD, network.vlan)).ignored(),
            isset(Ref(*name, "/mac")).otherwise(goto("no_vlan")),
            set_("card", name),
        ]
    return block(lines)


@lru_cache(KEPT)
def configure(network: Network) -> Block:
    """Get an address for the card: the one that was chosen, or by DHCP and router advertisement."""
    way = f"address {network.address}" if network.address else "DHCP"
    return block(
        [
            echo("Zero-OS:", CARD, (MAC, ":"), way, "(round", ROUND, f"of {ROUNDS})"),
            *(set_address(network) if network.address else ask_for_address(network)),
            *set_name_servers(network),
        ]
    )


def ask_for_address(network: Network) -> list[Line]:
    """Ask for an IPv4 address, and for one of IPv6 if that is wanted; either will do."""
    if network.ipv6 == "off":
        return [ifconf(CARD, "dhcp").otherwise(goto("no_address"))]
    return [
        ifconf(CARD, "dhcp").then(goto("has_ipv4")).ignored(),
        ifconf(CARD, "ipv6").otherwise(goto("no_address")),
        goto("has_address"),
        BLANK,
        label("has_ipv4"),
        ifconf(CARD, "ipv6").ignored(),
        BLANK,
        label("has_address"),
    ]


def set_address(network: Network) -> list[Line]:
    """Set the chosen address, once there is a link."""
    address = ip_interface(network.address)
    values = {"ip": str(address.ip), "netmask": str(address.netmask), "gateway": network.gateway}
    if address.version == 6:
        prefix = str(address.network.prefixlen)
        values = {"ip6": str(address.ip), "len6": prefix, "gateway6": network.gateway}
    lines: list[Line] = [
        command("ifopen", CARD).otherwise(goto("no_address")),
        iflinkwait(CARD, LINK_MS).otherwise(goto("no_address")),
    ]
    for name, value in values.items():
        if value:
            lines.append(set_((CARD, f"/{name}"), value).otherwise(goto("bad_address")))
    if network.ipv6 == "auto":
        lines.append(ifconf(CARD, "ipv6").ignored())
    return lines


def set_name_servers(network: Network) -> list[Line]:
    """Set the chosen name servers: iPXE asks one of each kind."""
    first = {("dns6" if ":" in server else "dns"): server for server in reversed(network.dns)}
    return [set_(name, server).ignored() for name, server in first.items()]


@lru_cache(KEPT)
def tell_address(network: Network) -> Block:
    """Say which address the card has."""
    found = [(ADDRESS6, GATEWAY6)] if ":" in network.address else [(ADDRESS, GATEWAY)]
    if network.ipv6 == "auto" and ":" not in network.address:
        found.append((ADDRESS6, GATEWAY6))
    return block(
        echo("Zero-OS:", CARD, "has address", (address, ","), "gateway", gateway)
        for address, gateway in found
    )


@lru_cache(KEPT)
def next_card(network: Network) -> Block:
    """Give a card up: for the next one, or for another round."""
    lines: list[Line] = []
    if network.vlan:
        lines += [BLANK, label("no_vlan"), set_("code", "ZB16"), goto("next_card")]
    if network.address:
        lines += [BLANK, label("bad_address"), set_("code", "ZB18"), goto("next_card")]
    lines += [
        BLANK,
        label("no_address"),
        iflinkwait(CARD, NO_WAIT_MS).otherwise(goto("next_card")),
        iseq(CODE, "ZB17").then(set_("code", "ZB12")).ignored(),
        BLANK,
        label("next_card"),
        command("ifclose", CARD).ignored(),
    ]
    if network.interface:
        lines += [BLANK, label("other_card")]
    lines += [
        inc("index"),
        goto("card"),
        BLANK,
        label("round_over"),
        iseq(ROUND, str(ROUNDS)).then(goto("failed")).ignored(),
        *([iseq(CODE, "ZB15").then(goto("failed")).ignored()] if network.interface else []),
        echo("Zero-OS: no card led to a kernel; next round in", Ref("wait"), "s"),
        command("sleep", Ref("wait")).ignored(),
        inc("wait", Ref("wait")),
        goto("round"),
    ]
    return block(lines)
