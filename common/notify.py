"""Telling the process manager that a service is ready (the sd_notify protocol).

Source: sd_notify(3): one datagram of `KEY=VALUE` lines to the Unix socket that `NOTIFY_SOCKET`
names; a leading "@" stands for the NUL of the abstract namespace.
"""

import os
import socket


def notify_ready(status: str = "") -> bool:
    """Say "ready" to the manager; False where none is listening, which is no error."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    message = "READY=1" + (f"\nSTATUS={status}" if status else "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel:
        try:
            channel.sendto(message.encode(), address.replace("@", "\0", 1))
        except OSError:
            return False
    return True
