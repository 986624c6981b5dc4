"""A bond: several cards as one link, by the kernel's bonding driver."""

from typing import TYPE_CHECKING

from node.model import NodeError
from node.network.links import SYS_NET
from node.network.netlink import NetlinkError
from node.network.plan import Bond

if TYPE_CHECKING:
    from node.network.interfaces import Interfaces

NAME = "bond0"
WATCH_MS = 100  # how often the driver looks for carriers
# <linux/if_bonding.h> and the driver's documentation
MODES = {
    "active-backup": {"bond_mode": 1},
    "802.3ad": {
        "bond_mode": 4,
        "bond_ad_lacp_rate": 1,  # a packet each second: a dead cable is noticed in three
        "bond_xmit_hash_policy": 1,  # by addresses and ports
    },
}


async def keep_bond(interfaces: "Interfaces", bond: Bond, cards: list[str]) -> None:
    """Make the bond if it is missing, and put those cards into it that are not."""
    routes = interfaces.routes
    try:
        if not (SYS_NET / NAME).exists():
            words = {**MODES[bond.mode], "bond_miimon": WATCH_MS}
            await routes.link("add", ifname=NAME, kind="bond", **words)
        index = await interfaces.find(NAME)
        for card in cards:
            if not (SYS_NET / card / "master").exists():
                place = await interfaces.find(card)
                await routes.link("set", index=place, state="down")  # the driver insists
                await routes.link("set", index=place, master=index)
    except NetlinkError as error:
        raise NodeError(f"cannot make the bond of {', '.join(cards)}: {error}") from error
