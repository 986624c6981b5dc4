"""Reading from sockets."""

import socket


def read_all(stream: socket.socket) -> bytes:
    """Return all data until the peer closes."""
    data = bytearray()
    while chunk := stream.recv(65536):
        data += chunk
    return bytes(data)
