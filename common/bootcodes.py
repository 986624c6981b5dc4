"""Why a node does not boot: the codes that the screen, the boot log, the pages and the docs share.

A code is "ZB" and two digits. The first digit says how far the node got: 1 its own network, 2 the
bootstrap server, 3 the kernel, 4 Zero-OS itself, 5 provisioning. A code never changes its meaning;
a new fault gets a new one. `wrong` completes "Zero-OS: cannot boot (ZB12): ...": one line of plain
ASCII, without a character that means something to iPXE. `todo` is for the farmer in front of the
machine, the most likely remedy first.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Code(NamedTuple):
    """One reason: what is wrong, and what to do."""

    wrong: str
    todo: str


CODES: Mapping[str, Code] = {
    # iPXE and the node's own network
    "ZB10": Code(
        "this iPXE is too old",
        "Boot the image from this page instead, or update the iPXE that your network or card "
        "starts. iPXE of 2019 is new enough.",
    ),
    "ZB11": Code(
        "iPXE found no network card that it can drive",
        "Put the cable into another port or card. Start in UEFI mode instead of BIOS mode, or the "
        "other way round: the firmware may know a card that iPXE does not. If nothing helps, use "
        "the full image, which brings the kernel along.",
    ),
    "ZB12": Code(
        "no network card got an address by DHCP",
        "Check that a DHCP server runs in this network and has free addresses. If the switch port "
        "is in a tagged VLAN, make an image with that VLAN. If the network has no DHCP server, "
        "make an image with a static address.",
    ),
    "ZB13": Code(
        "the name of the bootstrap server could not be resolved",
        "The name server that DHCP names does not answer, or there is none. Correct the DHCP "
        "server's settings, or make an image with name servers of your choice.",
    ),
    "ZB14": Code(
        "the network has no gateway",
        "DHCP gave an address but no router, so the node can't leave its own network. Add the "
        "router to the DHCP server's settings, or make an image with a static address and a "
        "gateway.",
    ),
    "ZB15": Code(
        "the network card that the image names is not in this machine",
        "Compare the MAC address on the screen with those of the machine's cards. Make an image "
        "with the right one, or one that tries every card. One image with a chosen card is for one "
        "machine only.",
    ),
    "ZB16": Code(
        "the VLAN could not be set up",
        "This iPXE has no VLANs, or the card refuses the tag. Boot the image from this page "
        "instead of your own iPXE, or let the switch give this port the VLAN untagged.",
    ),
    "ZB17": Code(
        "no network card has a link",
        "Check the cable at both ends, and whether the switch is on and the port enabled. Try "
        "another port and another cable.",
    ),
    "ZB18": Code(
        "the static address could not be set",
        "Make the image again and check address, prefix length and gateway. An IPv6 address needs "
        "an iPXE with IPv6, which the image from this page has.",
    ),
    # the bootstrap server
    "ZB21": Code(
        "the bootstrap server could not be reached",
        "The node has an address but no answer. Open the server's page in a browser in the same "
        "network. Check firewall, router and, with a static address, the gateway.",
    ),
    "ZB22": Code(
        "the download stalled",
        "The connection broke off in the middle. The node tries again by itself. If it comes back, "
        "look for a bad cable, a full line, or a firewall that cuts long downloads.",
    ),
    "ZB23": Code(
        "the certificate of the bootstrap server was refused",
        "Set the machine's clock in its firmware to the right date: certificates are valid for a "
        "time only. If the server has a certificate of its own, use an image that knows it (UEFI), "
        "or the full image.",
    ),
    "ZB24": Code(
        "the bootstrap server has no release for this node",
        "Look at the server's page for the run modes that have a release, and make an image for "
        "one of them. If the image names an older release, it may be gone.",
    ),
    "ZB25": Code(
        "the bootstrap server answered with an error",
        "The server is overloaded or being changed. The node tries again by itself. If it lasts, "
        "tell the server's operator.",
    ),
    # kernel and initramfs
    "ZB31": Code(
        "the kernel or its initramfs is altered or incomplete",
        "The download was damaged on its way, most likely by a proxy or a failing line. The node "
        "tries again by itself. If it comes back, check the machine's memory, and tell the "
        "server's operator.",
    ),
    "ZB32": Code(
        "the kernel could not be started (enough memory? Secure Boot off?)",
        "A node needs 512 MiB of memory. Switch Secure Boot off, or use the images that are signed "
        "for it. Start in UEFI mode instead of BIOS mode, or the other way round, and update the "
        "firmware.",
    ),
    # Zero-OS itself
    "ZB40": Code(
        "Zero-OS has no network",
        "Linux does not reach the network, although iPXE did. Check the cable and the DHCP server. "
        "The card may need firmware that this release lacks: try another card, and tell the "
        "release's makers which one fails.",
    ),
    "ZB41": Code(
        "the release channel does not vouch for this kernel and initramfs",
        "What the node was booted with is not what the signed channel says. Boot an image from a "
        "server that you trust. If it is your own server, publish the release again.",
    ),
    "ZB42": Code(
        "the hub could not be reached",
        "The node has a network, but the hub that holds its file systems does not answer. Check "
        "firewall, name server and proxy. The node tries again by itself.",
    ),
    "ZB43": Code(
        "the signature of the node's file system is missing or wrong",
        "The hub's file system is not the one that the release names. Nothing of it was started. "
        "Tell the operator of the hub.",
    ),
    "ZB44": Code(
        "the channel's metadata has expired or can't be verified",
        "Check the machine's clock first. If it is right, the channel has not been renewed: tell "
        "the server's operator.",
    ),
    "ZB45": Code(
        "the kernel's parameters can't be used",
        "The screen names the parameter. Make the image again without it, or with another value.",
    ),
    "ZB46": Code(
        "the machine has too little memory",
        "A node needs 512 MiB of memory, and more for its services. If more is built in, check "
        "that the firmware sees all of it.",
    ),
    "ZB47": Code(
        "a service that the node needs did not start",
        "The lines above name the service and the reason. Boot again; if it comes back, try "
        "another release and tell the release's makers.",
    ),
    # provisioning
    "ZB51": Code(
        "this node waits to be claimed by its farmer",
        "The server knows nothing of this machine yet. Claim it in the server's list of waiting "
        "nodes, or with the MAC address on the screen; it then boots by itself within a minute.",
    ),
    "ZB52": Code(
        "the server's table of nodes contradicts itself for this node",
        "Its MAC address, UUID and serial number belong to different rows of the table, or its "
        "card has moved to another machine. Correct the rows; the server's log names them.",
    ),
}


def describe(code: str) -> str:
    """Return the line of a screen for `code`, as every stage of a boot prints it."""
    return f"cannot boot ({code}): {CODES[code].wrong}"
