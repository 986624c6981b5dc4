"""Requests that are sent as they are, and answers as they come."""

import socket

from tests.helpers.serving.process import ANSWER_S
from tests.helpers.tcp import read_all

OWN = ("date:", "x-request-id:")
Address = tuple[str, int]


def talk(address: Address, *requests: str) -> bytes:
    """Send requests, each when the one before was sent, and return all that comes."""
    with socket.create_connection(address, ANSWER_S) as sock:
        for request in requests:
            sock.sendall(request.encode())
        sock.shutdown(socket.SHUT_WR)
        return read_all(sock)


def ask_plainly(
    address: Address, target: str, method: str = "GET", *headers: str
) -> tuple[list[str], bytes]:
    """Return the lines of an answer's head that do not differ each time, in order, and its body.

    The names of headers are in lower case.
    """
    lines = [f"{method} {target} HTTP/1.1", "Host: x", *headers, "", ""]
    head, _, body = talk(address, "\r\n".join(lines)).partition(b"\r\n\r\n")
    status, *rows = head.decode().split("\r\n")
    pairs = [row.split(": ", 1) for row in rows]
    found = [f"{name.lower()}: {value}" for name, value in pairs]
    return [status, *sorted(row for row in found if not row.startswith(OWN))], body
