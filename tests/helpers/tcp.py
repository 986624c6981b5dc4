"""Reading from sockets."""

import socket


def read_all(stream: socket.socket) -> bytes:
    """Return all data until the peer closes."""
    data = b""
    while chunk := stream.recv(65536):
        data += chunk
    return data
