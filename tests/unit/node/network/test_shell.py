"""The shell waits: a look at the kernel is no change of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from node.network.advertisements import Advertisements
from node.network.cards import Cards
from node.network.interfaces import Interfaces
from node.network.plan import Plan
from node.network.shell import Network
from node.network.status import Status
from node.network.table import Event

LINK = "none0"


class NoKernel:
    """A kernel that has the link, and takes what is set."""

    async def link_lookup(self, **_: Any) -> list[int]:
        return [1]

    async def link(self, *_: Any, **_more: Any) -> None:
        return


@pytest.fixture
def network(tmp_path: Path) -> Network:
    interfaces, plan = Interfaces(NoKernel()), Plan()
    return Network(
        interfaces,
        Cards(plan, interfaces, lambda: [LINK]),
        Advertisements(),
        tmp_path / "resolv.conf",
        Status(tmp_path / "network.json", plan),
    )


def test_what_a_look_at_the_kernel_finds_starts_no_other_look(network: Network) -> None:
    async def look() -> None:
        await network.scan()
        assert [event for event, _, _ in network.events] == [Event.FOUND, Event.UNPLUGGED]
        assert not network.is_changed.is_set()
        network.feed(Event.SILENT, LINK, None, "")
        assert network.is_changed.is_set()

    asyncio.run(look())


def test_a_quiet_network_is_looked_at_once(network: Network, monkeypatch: Any) -> None:
    """The rest waits for a change, or for `SCAN_S`."""
    rounds = 0

    async def wait_for_change() -> None:
        nonlocal rounds
        rounds += 1
        if network.is_changed.is_set() and rounds < 3:
            return
        raise asyncio.CancelledError

    monkeypatch.setattr(network, "wait_for_change", wait_for_change)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(network.serve())
    assert rounds == 1
