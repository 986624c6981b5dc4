"""The switch: who gets which frame, cables that end, and machines that don't read."""

import socket
from collections.abc import Iterator

import pytest

from qemu.switch import FRAME_MAX_BYTES, Switch

DEADLINE_S = 60
ROUTER, FIRST, SECOND = b"\x52\x55\x0a\x00\x02\x02", b"\x52\x54\0\0\0\1", b"\x52\x54\0\0\0\2"
ALL = b"\xff" * 6


def frame(target: bytes, source: bytes, text: bytes = b"") -> bytes:
    data = target + source + b"\x08\x00" + text
    return len(data).to_bytes(4, "big") + data


@pytest.fixture
def cables() -> Iterator[list[socket.socket]]:
    """Yield the machines' ends of three cables; the first is the router's."""
    switch = Switch()
    switch.start()
    ends = []
    for number in range(3):
        ours, theirs = socket.socketpair()
        theirs.settimeout(DEADLINE_S)
        switch.add(ours, is_router=number == 0)
        ends.append(theirs)
    yield ends
    switch.close()
    switch.close()
    for end in ends:
        end.close()


def take(link: socket.socket, expected: bytes) -> None:
    got = b""
    while len(got) < len(expected):
        got += link.recv(len(expected) - len(got))
    assert got == expected


def test_who_gets_a_frame(cables: list[socket.socket]) -> None:
    router, first, second = cables
    for_all = frame(ALL, FIRST, b"who is there")
    first.sendall(for_all)
    take(router, for_all)
    take(second, for_all)
    # The router never sees what is for another machine, also while nobody knows where that is.
    unknown, for_router = frame(SECOND, FIRST, b"unknown"), frame(ROUTER, FIRST, b"router")
    first.sendall(unknown + for_router)
    take(second, unknown)
    take(router, for_router)
    answer = frame(FIRST, SECOND, b"here")
    second.sendall(answer[:3])
    second.sendall(answer[3:])
    take(first, answer)
    last = frame(ALL, ROUTER)
    router.sendall(last)
    take(first, last)


def test_a_cable_that_ends_and_one_that_breaks_the_rules(cables: list[socket.socket]) -> None:
    router, first, second = cables
    first.close()
    router.sendall((FRAME_MAX_BYTES + 1).to_bytes(4, "big"))
    assert router.recv(1) == b""
    second.sendall(frame(ALL, SECOND))  # goes nowhere, and ends nothing
    second.settimeout(0.2)
    with pytest.raises(TimeoutError):
        second.recv(1)


def test_a_machine_that_does_not_read_stops_nobody(cables: list[socket.socket]) -> None:
    router, first, _second = cables
    big = frame(ALL, FIRST, bytes(60_000))
    for _ in range(100):  # more than the queue of the one that does not read
        first.sendall(big)
        take(router, big)
