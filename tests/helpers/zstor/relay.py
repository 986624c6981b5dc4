"""A relay before a server, which can hang, drip, or break connections."""

import contextlib
import socket
import threading
from collections.abc import Iterator

WAIT_S = 10
DRIP_S = 0.05


class Relay:
    """Passes bytes on between clients and a server."""

    def __init__(self, listener: socket.socket, port: int) -> None:
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self.server_port = port
        self.flows = threading.Event()
        self.flows.set()
        self.is_slow = False
        self.ended = threading.Event()

    def hang(self) -> None:
        """Pass nothing on any more, and close nothing."""
        self.flows.clear()

    def run(self) -> None:
        """Accept clients until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server_port), WAIT_S)
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self.join, args=ends, daemon=True).start()

    def join(self, source: socket.socket, target: socket.socket) -> None:
        """Pass bytes on until the source ends."""
        with contextlib.suppress(OSError), source, target:
            while data := source.recv(1 << 16):
                while not self.flows.wait(DRIP_S):
                    if self.ended.is_set():
                        return
                if self.is_slow:
                    self.ended.wait(DRIP_S)
                target.sendall(data)


@contextlib.contextmanager
def relay(port: int) -> Iterator[Relay]:
    """Run a relay to a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        made = Relay(listener, port)
        thread = threading.Thread(target=made.run, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            made.ended.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(WAIT_S)
