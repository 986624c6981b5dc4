"""The words of the forms: label and help of every option, and what the farmer's form adds."""

from collections.abc import Mapping
from typing import NamedTuple

from bootstrap_server.options.network import DNS_MAX, VLAN_MAX


class Control(NamedTuple):
    """What stands beside one field; `group` is its heading on the expert page."""

    label: str
    help: str
    example: str = ""
    group: str = ""
    is_number: bool = False
    is_required: bool = False


CONTROLS: Mapping[str, Control] = {
    "runmode": Control("Run mode", "", group="What the node boots"),
    "farm": Control(
        "Farm number",
        "Empty for a node that belongs to no farm yet.",
        group="What the node boots",
        is_number=True,
    ),
    "farm_key": Control(
        "Farm's key",
        "The public key whose certificates the node's API accepts. Empty: it is asked from the "
        "registry, if there is one.",
        "yM9wHzCtEdPuh33O0Nd0qy2pFZiUKWiHuEOaY8mqBlU",
        "What the node boots",
    ),
    "kernel": Control(
        "Release or kernel",
        "The version of an earlier release of this run mode, or the name of a kernel of the "
        "operator's own. Empty: the release that is live.",
        group="What the node boots",
    ),
    "interface": Control(
        "Network card",
        "The MAC address of the only card to use. Empty: all are tried.",
        "52:54:00:12:34:56",
        "Network",
    ),
    "address": Control(
        "Static address",
        "With its prefix length, instead of DHCP. Such an image is for one machine.",
        "192.168.1.10/24",
        "Network",
    ),
    "gateway": Control("Gateway", "The router of a static address.", "192.168.1.1", "Network"),
    "dns": Control(
        "Name servers", f"At most {DNS_MAX}, separated by commas.", "192.168.1.1,9.9.9.9", "Network"
    ),
    "vlan": Control(
        "VLAN",
        f"The tag of the network that the node boots in, 1 to {VLAN_MAX}.",
        "20",
        "Network",
        is_number=True,
    ),
    "ipv6": Control("IPv6", "", group="Network"),
    "proxy": Control(
        "HTTP proxy",
        "For what Linux downloads. iPXE uses none: it must reach the server directly.",
        "http://proxy.example:3128",
        "Network",
    ),
    "mirror": Control(
        "Mirrors",
        "Servers with the same releases, which the node tries first. The operator of this server "
        "chooses them.",
        group="Network",
    ),
    "console": Control(
        "Consoles",
        "Where Linux prints, separated by spaces. The last one is the main one.",
        "tty0 ttyS1,115200n8",
        "Linux",
    ),
    "extra": Control(
        "Kernel parameters",
        "Separated by spaces. Leave it empty unless you know that you need one.",
        "zos-debug loglevel=4",
        "Linux",
    ),
}
"""The options, in the order of the expert page; their names are those of an address' query."""

SIMPLE: Mapping[str, Control] = {
    "farm": Control(
        "Farm number",
        "It stands on your farm's page in the dashboard, the website where you registered the "
        "farm.",
        "4711",
        is_number=True,
        is_required=True,
    ),
    "machine": Control("How does the machine start?", "If you are not sure, take the USB stick."),
    "runmode": CONTROLS["runmode"],
    "extra": CONTROLS["extra"],
}
"""The fields of the farmer's form."""

CLAIM: Mapping[str, Control] = {
    "token": Control("Token", "The server's operator makes one with the scope nodes."),
    "node": Control("Node", ""),
    "runmode": CONTROLS["runmode"],
    "extra": CONTROLS["extra"],
}
"""The fields of the form that claims a node."""

IPV6 = {
    "off": "the node uses IPv4 only",
    "auto": "addresses by router advertisement, beside IPv4",
}
