"""Waits for a service that speaks: a connection that is made, or closed, is no answer."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from qemu.answers import wait_for_answer
from qemu.errors import MachineEndedError, WaitTimeoutError


@contextmanager
def serving(talk: Callable[[socket.socket, int], None]) -> Iterator[int]:
    """Yield a port; `talk` gets each connection and its number."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for number in range(1000):
                try:
                    link, _ = server.accept()
                except OSError:
                    return
                with link:
                    talk(link, number)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def test_a_service_that_is_silent_at_first() -> None:
    def talk(link: socket.socket, number: int) -> None:
        if number >= 2:
            link.sendall(b"+" + link.recv(99))

    with serving(talk) as port:
        assert wait_for_answer(port, 60, b"PING") == b"+PING"


def test_what_was_seen_last_is_told() -> None:
    with serving(lambda _link, _number: None) as port:
        with pytest.raises(WaitTimeoutError, match="closed without a word"):
            wait_for_answer(port, 0.5)
        with pytest.raises(MachineEndedError, match="it has ended"):
            wait_for_answer(port, 60, why_ended=lambda: "it has ended")
