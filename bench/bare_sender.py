"""The least that a server in Python does to send a file: `python -m bench.bare_sender FILE`.

It parses heads as ours does, and calls sendfile until the file is sent: no event loop, time-outs,
ranges, log or metrics, and one connection after the other.
"""

import os
import socket
import sys

from serving.fast.head import recognise
from serving.listen import open_listener, own_url

HEAD_MAX_BYTES = 1 << 14
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


def answer(connection: socket.socket, handle: int) -> None:
    """Send the file for each request, until the client closes the connection."""
    size = os.fstat(handle).st_size
    while data := connection.recv(HEAD_MAX_BYTES):
        assert recognise(data), data
        connection.sendall(ANSWER % size)
        at = 0
        while at < size:
            at += os.sendfile(connection.fileno(), handle, at, size - at)


def main() -> None:
    """Serve until the process is ended."""
    with open(sys.argv[1], "rb") as file, open_listener("127.0.0.1", 0) as listener:
        print(own_url(listener), flush=True)
        while True:
            connection, _ = listener.accept()
            with connection:
                answer(connection, file.fileno())


if __name__ == "__main__":
    main()
