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
        self.is_told = False  # to stop

    def listen(self, stop: Callable[[bool], None], reload: Callable[[], None]) -> None:
        """Call `stop` or `reload` when the parent says so, and `stop` when it is gone.

        `stop` gets whether the parent has said so before. A signal to this process does not count:
        a supervisor sends the same one to both.
        """
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
                stop(False)
            for word in words:
                if word == STOP[0]:
                    stop(self.is_told)
                    self.is_told = True
                else:
                    reload()

        self.channel.setblocking(False)
        loop.add_reader(self.channel, hear)
        self.channel.send(STARTED)
