"""A daemon's profile: who it is and what it may do."""

import socket
from dataclasses import dataclass

from common.ipc.server import CONNECTIONS_MAX
from core.places import User

LOCAL = frozenset({socket.AF_UNIX})
INTERNET = frozenset({socket.AF_INET, socket.AF_INET6})
FEW_CONNECTIONS = 8  # of a daemon that answers `status` only
NETLINK = frozenset({socket.AF_NETLINK})  # links, addresses and routes


@dataclass(frozen=True)
class Profile:
    """What the daemon `name` runs as and may do; zinit gives it user and capabilities.

    `families` are the kinds of sockets that it may make, `capabilities` the exact set that it has.
    `has_programs` allows it to run other programs, which inherit the limits. `connections_max` is
    how many callers its socket has at a time: each takes a thread of those that zinit allows it.
    """

    name: str
    user: User
    families: frozenset[socket.AddressFamily] = LOCAL
    capabilities: frozenset[str] = frozenset()
    groups: frozenset[int] = frozenset()
    has_programs: bool = False
    connections_max: int = CONNECTIONS_MAX
