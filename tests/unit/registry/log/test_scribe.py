"""Group commit: many messages, few transactions, and each gets its own answer."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from common.errors import ZosError
from registry.errors import BusyError
from registry.log import scribe as scribes
from registry.log.batch import Batch
from tests.helpers.registry.site import make_site


def add(batch: Batch, items: Sequence[Any]) -> list[Any]:
    """Add each item to the log; a negative one is refused, zero is a fault."""
    results: list[Any] = []
    for item in items:
        if item == 0:
            raise ZeroDivisionError
        refused = ZosError("negative")
        results.append(refused if item < 0 else batch.add("report", 0, {"item": item}))
    return results


def test_what_waits_is_written_together() -> None:
    begun, go_on = threading.Event(), threading.Event()
    sizes: list[int] = []

    def slow(batch: Batch, items: Sequence[Any]) -> list[Any]:
        sizes.append(len(items))
        begun.set()
        assert go_on.wait(30)
        return add(batch, items)

    scribe = make_site().registry.scribe
    first = scribe.submit(slow, 1)
    assert begun.wait(30)
    others = [scribe.submit(slow, number) for number in range(2, 102)]
    go_on.set()
    assert [future.result(30) for future in (first, *others)] == list(range(101))
    assert sizes == [1, 100]
    scribe.close()


def test_each_message_has_its_own_result() -> None:
    scribe = make_site().registry.scribe
    hold = threading.Event()
    scribe.submit(lambda _, items: [hold.wait(30) for _ in items], None)
    futures = [scribe.submit(add, item) for item in (5, -1, 0, 6)]
    hold.set()
    found = [future.exception(30) or future.result() for future in futures]
    assert (found[0], str(found[1]), type(found[2]), found[3]) == (
        0,
        "negative",
        ZeroDivisionError,
        1,
    )
    scribe.close()


def test_a_scribe_that_is_behind_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scribes, "WAITING", 1)
    monkeypatch.setattr(scribes, "WAIT_S", 0.05)
    scribe = make_site().registry.scribe
    begun, go_on = threading.Event(), threading.Event()

    def stuck(_: Batch, items: Sequence[Any]) -> list[Any]:
        begun.set()
        go_on.wait(30)
        return list(items)

    scribe.submit(stuck, 1)
    assert begun.wait(30)
    with pytest.raises(BusyError, match="in time"):
        asyncio.run(scribe.write(stuck, 2))
    with pytest.raises(BusyError, match="too many"):
        scribe.submit(stuck, 3)
    go_on.set()
    scribe.close()


def test_time_in_the_log_never_goes_back() -> None:
    site = make_site()
    site.add_farm("one")
    site.now_s -= 1000
    site.add_farm("two")
    times = [entry["at"] for entry in site.get("/api/v1/log/entries")["entries"]]
    assert times[0] == times[1]
    site.check()
