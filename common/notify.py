"""Tells the process manager that a service is ready (the sd_notify protocol).

Source: sd_notify(3): one datagram of `KEY=VALUE` lines to the Unix socket that `NOTIFY_SOCKET`
names; a leading "@" stands for the NUL of the abstract namespace.
"""

import contextlib
import os
import socket


def notify_ready(status: str = "") -> None:
    """Report that the service is ready; a missing manager is no error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    message = "READY=1" + (f"\nSTATUS={status}" if status else "")
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
    ):
        channel.sendto(message.encode(), address.replace("@", "\0", 1))
