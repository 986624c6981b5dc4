"""The links that a node may use: the cards that the plan allows, or the VLAN on each of them."""

import time
from collections.abc import Callable
from functools import partial

from node.log import log as write_log
from node.model import NodeError
from node.network.interfaces import Interfaces
from node.network.links import SYS_NET, read_mac
from node.network.plan import Plan

ABSENT_S = 60.0  # how long the chosen card may be missing before all are tried
RETRY_S = 10.0  # before a VLAN is tried again that the kernel refuses
NAME_MAX = 15  # <linux/if.h>

log = partial(write_log, "network")


class Cards:
    """The cards that `find_links` names, as the plan wants them used."""

    def __init__(
        self, plan: Plan, interfaces: Interfaces, find_links: Callable[[], list[str]]
    ) -> None:
        self.plan = plan
        self.interfaces = interfaces
        self.find_links = find_links
        self.missing_since = time.monotonic()
        self.is_told = False
        self.retry_at: dict[str, float] = {}

    async def links(self) -> list[str]:
        """Return the links that may be used now."""
        cards = self.choose(self.find_links())
        if not self.plan.vlan:
            return cards
        tagged = [await self.tag(card) for card in cards]
        return [name for name in tagged if name]

    def choose(self, cards: list[str]) -> list[str]:
        """Return the card that the plan names; all, if there has been none like it for a while.

        A card may be found late, and one that was replaced must not cost the node.
        """
        if not self.plan.card:
            return cards
        now = time.monotonic()
        if mine := [name for name in cards if read_mac(name) == self.plan.card]:
            self.missing_since = now
            return mine
        if now - self.missing_since < ABSENT_S:
            return []
        if not self.is_told:
            log(f"no card has the MAC address {self.plan.card}: trying every card")
            self.is_told = True
        return cards

    async def tag(self, card: str) -> str:
        """Return the link of the VLAN on a card, made if it is missing; "" if that fails."""
        suffix = f".{self.plan.vlan}"
        name = f"{card[: NAME_MAX - len(suffix)]}{suffix}"
        if (SYS_NET / name).exists():
            return name
        now = time.monotonic()
        if self.retry_at.get(card, 0.0) > now:
            return ""
        try:
            await self.interfaces.add_vlan(card, self.plan.vlan, name)
        except NodeError as error:
            log(f"{error}; again in {RETRY_S:g} s")
            self.retry_at[card] = now + RETRY_S
            return ""
        return name
