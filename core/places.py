"""Where Core-0's daemons are on a node: their users and their sockets."""

from pathlib import Path
from typing import NamedTuple

RUN = Path("/run/zero-os")
DOOR = RUN / "door" / "socket"  # of bringup, which runs as root outside of this flist

API_PORT = 7443  # of the node's API, TCP
LOOK_S = 300.0  # for a call in which bring-up asks servers, which may be slow


class User(NamedTuple):
    """A daemon's user; its group has the same name and number."""

    name: str
    number: int


IDENTITY = User("zos-identity", 701)
CAPACITY = User("zos-capacity", 702)
REPORT = User("zos-report", 703)
UPDATE = User("zos-update", 704)
API = User("zos-api", 705)
SCREEN = User("zos-screen", 706)
ANNOUNCE = User("zos-announce", 707)
USERS = (IDENTITY, CAPACITY, REPORT, UPDATE, API, SCREEN, ANNOUNCE)


def socket_of(daemon: str) -> Path:
    """Return the socket of a daemon: identity, capacity, report or update."""
    return RUN / daemon / "socket"
