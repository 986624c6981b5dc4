"""Questions to routers: their bytes, and what their answers mean."""

import asyncio
import ipaddress
from dataclasses import replace

import pytest

from node.network import probes
from node.network.discovery import build_question, is_answer, solicited_group
from node.network.leases import Lease, Source
from node.network.probes import Probes
from node.network.table import Event

TARGET = ipaddress.IPv6Address("fe80::1:2345:6789")
LEASE = Lease("eth0", ipaddress.IPv4Interface("10.9.0.5/24"), "10.9.0.1", ())


def test_a_question_by_neighbour_discovery() -> None:
    data = build_question("52:54:00:12:34:56", TARGET)
    assert data.hex() == "8700000000000000" + TARGET.packed.hex() + "0101525400123456"
    assert str(solicited_group(TARGET)) == "ff02::1:ff45:6789"


def test_only_the_router_itself_answers() -> None:
    answer = bytes.fromhex("8800000060000000") + TARGET.packed
    assert is_answer(answer, TARGET)
    assert not is_answer(answer, ipaddress.IPv6Address("fe80::2"))
    assert not is_answer(answer[:23], TARGET)
    assert not is_answer(b"\x87" + answer[1:], TARGET)


def test_each_change_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([True, True, None, False, None, False, True])
    told: list[tuple[Event, str]] = []

    async def does_answer(_: Lease) -> bool | None:
        try:
            return next(answers)
        except StopIteration:
            raise asyncio.CancelledError from None

    one = Probes(lambda event, link, *_: told.append((event, link)))
    monkeypatch.setattr(one, "does_answer", does_answer)
    monkeypatch.setattr(probes, "PAUSE_S", 0.0)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(one.probe(LEASE))
    kinds = [Event.ANSWERED, Event.SILENT, Event.ANSWERED]
    assert told == [(kind, "eth0") for kind in kinds]


def test_a_static_address_is_asked_from_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another link may have the address: a question in its name would move it."""
    asked: list[tuple[str, ...]] = []

    async def wait(link: str, own: str, address: str, _: float) -> None:
        asked.append((link, own, address))

    monkeypatch.setattr(probes, "wait_for_neighbour", wait)
    asyncio.run(probes.ask(LEASE))
    asyncio.run(probes.ask(replace(LEASE, source=Source.STATIC)))
    assert asked == [("eth0", "10.9.0.5", "10.9.0.1"), ("eth0", "0.0.0.0", "10.9.0.1")]


def test_silence_counts_only_if_the_node_was_not_too_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: Lease) -> None:
        await asyncio.Event().wait()

    async def unplugged(_: Lease) -> None:
        raise OSError

    monkeypatch.setattr(probes, "SILENT_S", 0.01)
    monkeypatch.setattr(probes, "ask", never)
    monkeypatch.setattr(probes, "BUSY_S", 60.0)
    assert asyncio.run(Probes.does_answer(LEASE)) is False
    monkeypatch.setattr(probes, "BUSY_S", -1.0)
    assert asyncio.run(Probes.does_answer(LEASE)) is None
    monkeypatch.setattr(probes, "ask", unplugged)
    assert asyncio.run(Probes.does_answer(LEASE)) is None
