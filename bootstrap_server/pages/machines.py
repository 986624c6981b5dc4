"""How a machine can be started, in a farmer's words, and which kinds of images fit."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bootstrap_server.images.kinds import KINDS, Kind

SECURE = "secure"


class Machine(NamedTuple):
    """One answer to "How does the machine start?".

    `kinds` are names of `KINDS`, the best first; what this server can't make is left out. `way`
    names the steps that follow the download. `without` says what to do if there are no kinds.
    """

    title: str
    text: str
    kinds: Sequence[str]
    way: str
    without: str = "Choose the USB stick, or ask the server's operator."
    is_secure: bool = False


MACHINES: Mapping[str, Machine] = {
    "usb": Machine(
        "USB stick",
        "A PC or server. You write the image to a stick and plug it in.",
        ("usb", "full"),
        "stick",
    ),
    "cd": Machine(
        "CD or virtual media",
        "A server with remote management (iDRAC, iLO, IPMI), a virtual machine, or a CD drive.",
        ("iso", "full"),
        "cd",
    ),
    "network": Machine(
        "Network",
        "Machines that boot over the network (PXE, UEFI HTTP Boot, iPXE), without a stick.",
        ("uefi", "krn", "snponly", "uefi-arm64", "uki"),
        "network",
    ),
    "secure": Machine(
        "USB stick, Secure Boot on",
        "A machine whose firmware starts only signed programs, and must stay so.",
        (SECURE,),
        "stick",
        "It has no signed ones. Switch Secure Boot off in the machine's firmware and choose the "
        "USB stick, or ask the server's operator.",
        is_secure=True,
    ),
}


def find_kinds(machine: Machine, *, can_sign: bool) -> list[Kind]:
    """Return the kinds of this server that fit, the best first; it may sign for Secure Boot."""
    return [KINDS[name] for name in machine.kinds if can_sign or name != SECURE]
