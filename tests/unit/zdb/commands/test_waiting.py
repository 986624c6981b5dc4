"""Clients that wait are found at once, however many there are."""

from typing import Any

from zdb.commands.client import Client, Wait
from zdb.commands.waiting import FEW, Waiting


def make_client(space: Any) -> Client:
    """Return a client in a namespace."""
    return Client(space, is_admin=False, is_writable=True)


def test_a_command_wakes_who_waits_for_it_there() -> None:
    here: Any = object()
    there: Any = object()
    waiting = Waiting()
    clients = [make_client(here) for _ in range(5)]
    for client, wait in zip(
        clients,
        [Wait(b"SET", here, 9), Wait(None, here, 9), Wait(b"DEL", here, 9),
         Wait(b"SET", there, 9), Wait(b"SET", here, 9)],
        strict=True,
    ):  # fmt: skip
        waiting.add(client, wait)
    assert waiting.wake(clients[4], b"SET") == [clients[0], clients[1]]
    assert clients[4].wait is not None  # its own command counts not
    assert waiting.wake(clients[0], b"GET") == []
    assert waiting.wake(clients[0], b"DEL") == [clients[2]]


def test_waits_end_in_time_and_a_new_one_replaces_the_old() -> None:
    space: Any = object()
    waiting = Waiting()
    first, second = make_client(space), make_client(space)
    assert waiting.next_end() is None
    waiting.add(first, Wait(b"SET", space, 5))
    waiting.add(second, Wait(b"SET", space, 3))
    waiting.add(second, Wait(b"SET", space, 8))
    assert waiting.expire(4) == []
    assert waiting.next_end() == 5
    assert waiting.expire(5) == [first]
    waiting.drop(second)
    assert not waiting
    assert waiting.next_end() is None
    assert waiting.expire(10) == []


def test_what_is_over_is_not_kept() -> None:
    space: Any = object()
    waiting = Waiting()
    client = make_client(space)
    for number in range(100 * FEW):
        waiting.add(client, Wait(b"SET", space, 1000 + number))
    assert len(waiting._ends) <= 2 * FEW
