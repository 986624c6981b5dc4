"""Tells whoever started this process that it is ready (sd_notify's protocol)."""

import os
import socket


def notify_ready() -> None:
    """Send READY=1 to $NOTIFY_SOCKET, if there is one; `@name` is an abstract address."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(b"READY=1", address)
