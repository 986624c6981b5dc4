"""The links that a node may use: the cards that the plan allows, their bond, or VLANs on those."""

import time
from collections.abc import Callable
from functools import partial

from node.log import log as write_log
from node.model import NodeError
from node.network.interfaces import Interfaces
from node.network.links import SYS_NET, read_own_mac
from node.network.plan import Plan

ABSENT_S = 60.0  # how long the chosen cards may be missing before all are tried
RETRY_S = 10.0  # before a VLAN or a bond is tried again that the kernel refuses
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
        self.wanted = (plan.card,) if plan.card else plan.bond.cards if plan.bond else ()
        self.missing_since = time.monotonic()
        self.is_told = False
        self.retry_at: dict[str, float] = {}

    async def links(self) -> list[str]:
        """Return the links that may be used now."""
        links = self.choose(self.find_links())
        if self.plan.bond and links:
            links = await self.bind(links)
        if not self.plan.vlan:
            return links
        tagged = [await self.tag(link) for link in links]
        return [name for name in tagged if name]

    def choose(self, cards: list[str]) -> list[str]:
        """Return the cards that the plan names; all, if there has been none of them for a while.

        A card may be found late, and one that was replaced must not cost the node.
        """
        if not self.wanted:
            return cards
        now = time.monotonic()
        if mine := [name for name in cards if read_own_mac(name) in self.wanted]:
            self.missing_since = now
            return mine
        if now - self.missing_since < ABSENT_S:
            return []
        if not self.is_told:
            names = " or ".join(self.wanted)
            log(f"no card has the MAC address {names}: trying every card")
            self.is_told = True
        return cards

    async def bind(self, cards: list[str]) -> list[str]:
        """Return the bond of the cards; the cards themselves if the kernel makes none."""
        from node.network.bonds import NAME, keep_bond  # few nodes have one

        assert self.plan.bond is not None
        if self.may_try(NAME):
            try:
                await keep_bond(self.interfaces, self.plan.bond, cards)
            except NodeError as error:
                self.put_off(NAME, error)
        return [NAME] if (SYS_NET / NAME).exists() else cards

    async def tag(self, card: str) -> str:
        """Return the link of the VLAN on a card, made if it is missing; "" if that fails."""
        suffix = f".{self.plan.vlan}"
        name = f"{card[: NAME_MAX - len(suffix)]}{suffix}"
        if (SYS_NET / name).exists():
            return name
        if not self.may_try(card):
            return ""
        try:
            await self.interfaces.add_vlan(card, self.plan.vlan, name)
        except NodeError as error:
            self.put_off(card, error)
            return ""
        return name

    def may_try(self, name: str) -> bool:
        """Return whether the pause after a failure is over."""
        return self.retry_at.get(name, 0.0) <= time.monotonic()

    def put_off(self, name: str, error: NodeError) -> None:
        """Tell of a failure, and wait a while."""
        log(f"{error}; again in {RETRY_S:g} s")
        self.retry_at[name] = time.monotonic() + RETRY_S
