"""Changes are seen when the kernel tells of them, and not otherwise."""

import socket
import threading
from typing import Any

from core.capacity.load import Load
from core.capacity.watch import Watch, digest_of, wait_for_events


def test_a_change_wakes_those_who_wait() -> None:
    facts: dict[str, Any] = {"disks": []}
    watch = Watch(lambda: facts)
    before = watch.wait("", 0)
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.append(watch.wait(before, 60)))
    thread.start()
    watch.look()
    assert found == []
    facts["disks"] = ["sda"]
    watch.look()
    thread.join(60)
    assert found == [digest_of(facts)] and found != [before]


def test_what_is_used_is_no_change() -> None:
    assert digest_of({"used": 1, "free": 9}) == digest_of({"used": 2, "free": 8})


def test_without_a_change_the_wait_ends_in_time() -> None:
    watch = Watch(dict)
    assert watch.wait(watch.wait("", 0), 0.01) == digest_of({})


def test_many_events_are_one() -> None:
    reader, writer = socket.socketpair(type=socket.SOCK_DGRAM)
    with reader, writer:
        reader.setblocking(False)
        for _ in range(50):
            writer.send(b"event")
        wait_for_events([reader], quiet_s=0.05)
        writer.send(b"event")
        wait_for_events([reader], quiet_s=0.05)


def test_events_without_end_do_not_hold_up_for_ever() -> None:
    reader, writer = socket.socketpair(type=socket.SOCK_DGRAM)
    with reader, writer:
        reader.setblocking(False)
        writer.send(b"event")
        wait_for_events([reader], quiet_s=60, longest_s=0)


def test_the_load_is_measured_between_calls() -> None:
    samples = iter([(100.0, 90.0), (110.0, 95.0)])
    load = Load(lambda: next(samples))
    assert round(load.busy(), 3) == 0.1  # since the boot
    assert round(load.busy(), 3) == 0.1  # too soon for another sample
    load._asked -= 10
    assert load.busy() == 0.5


def test_the_load_of_this_machine() -> None:
    told = Load().to_json()
    assert 0 <= told["busy"] <= 1
    assert told["memory"]["used"] + told["memory"]["available"] == told["memory"]["total"]
