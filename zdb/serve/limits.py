"""What one connection, and all together, may take."""

import resource
from typing import NamedTuple

from zdb.serve.connection import Connection

SPARE_FILES = 320  # descriptors for the store, the log and the rest


class Limits(NamedTuple):
    """Numbers of connections and bytes, and seconds."""

    connections: int
    buffered: int
    idle_s: float = 0  # 0: no limit
    request_s: float = 30
    write_s: float = 30
    spare_s: float = 60  # idle for so long, a connection makes room for a new one

    def is_over(self, connection: Connection, now: float) -> bool:
        """Return whether the time of a connection is over."""
        if connection.closes_at is not None:
            return now >= connection.closes_at
        if connection.queue:
            return now - connection.taken >= self.write_s
        silent = now - connection.seen
        if connection.parser.held or connection.is_shaking:
            return silent >= self.request_s
        return self.idle_s > 0 and connection.is_idle and silent >= self.idle_s


def limit_connections(wanted: int) -> int:
    """Raise the descriptor limit as far as needed and allowed; return the cap that fits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + SPARE_FILES
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(wanted, soft - SPARE_FILES))
