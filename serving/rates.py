"""Rate limits: a token bucket for each client address, in a bounded table."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from starlette.requests import Request

from common.errors import ZosError

TABLE_SIZE = 16384
IPV6_PREFIX = 64
"""One IPv6 client usually has this network to itself, so it is limited as one."""


class TooManyRequestsError(ZosError):
    """The client has sent too many requests; `http_headers` say when to try again."""

    http_status = 429

    def __init__(self, wait_s: float, whose: str = "from this address") -> None:
        super().__init__(f"too many requests {whose}", hint="try again later")
        self.http_headers = {"Retry-After": str(max(1, ceil(wait_s)))}


class RateLimit:
    """Allows `per_minute` requests on average and `burst` at once. 0 per minute is no limit.

    An instance is a FastAPI dependency: `Depends(RateLimit(30, 10))`. With `is_for_all`, it counts
    the requests of all clients together.
    """

    def __init__(
        self,
        per_minute: float,
        burst: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        is_for_all: bool = False,
    ) -> None:
        self.rate = per_minute / 60
        self.burst = burst
        self.clock = clock
        self.is_for_all = is_for_all
        self.buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, count: float = 1) -> float:
        """Take `count` tokens of `address`; return 0, or the seconds until they are there."""
        if self.rate <= 0:
            return 0.0
        tokens = self.count(address)
        wait_s = 0.0 if tokens >= count else (count - tokens) / self.rate
        key = group_address(address)
        self.buckets.pop(key, None)  # the newest is the last
        self.buckets[key] = (tokens - count if tokens >= count else tokens, self.clock())
        if len(self.buckets) > TABLE_SIZE:
            self.buckets.popitem(last=False)
        return wait_s

    def count(self, address: str) -> float:
        """Return how many tokens `address` has."""
        now = self.clock()
        tokens, at = self.buckets.get(group_address(address), (float(self.burst), now))
        return min(float(self.burst), tokens + (now - at) * self.rate)

    async def __call__(self, request: Request) -> None:
        """Raise `TooManyRequestsError` when the client's bucket is empty."""
        client = None if self.is_for_all else request.client
        wait_s = self.take(client.host if client else "")
        if wait_s:
            request.app.state.kit.metrics.rejected.labels("rate_limit").inc()
            raise TooManyRequestsError(wait_s, *(["of this kind"] if self.is_for_all else []))


def group_address(address: str) -> str:
    """Return the key of an address: an IPv4 address itself, or the network of an IPv6 address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
    return str(parsed)
