"""A worker's end of the channel to its parent, by which it is told to stop."""

import asyncio
import socket
from collections.abc import Callable

from serving.workers.samples import Slots

STOP, RELOAD, STARTED = b"s", b"r", b"+"


class Worker:
    """This process, if it is a worker."""

    def __init__(self, number: int, channel: socket.socket, slots: Slots) -> None:
        self.number = number
        self.channel = channel
        self.slots = slots

    def listen(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """Call `stop` or `reload` when the parent says so, and `stop` when it is gone."""
        loop = asyncio.get_running_loop()

        def hear() -> None:
            try:
                words = self.channel.recv(16)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                words = b""
            if not words:
                loop.remove_reader(self.channel)
                stop()
            for word in words:
                (stop if word == STOP[0] else reload)()

        self.channel.setblocking(False)
        loop.add_reader(self.channel, hear)
        self.channel.send(STARTED)
