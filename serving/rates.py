"""Rate limits: a token bucket for each client address, in a bounded table."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from math import ceil

from starlette.requests import Request

from common.errors import ZosError

TABLE_SIZE = 16384
"""A client with more addresses than this has full buckets again and again: only a limit of all
clients together, which is one bucket, holds for certain."""
OF_THIS_KIND = "too many requests of this kind"
IPV6_PREFIX = 64
"""One IPv6 client usually has this network to itself, so it is limited as one."""


class TooManyRequestsError(ZosError):
    """The client has sent too many requests; `http_headers` say when to try again."""

    http_status = 429

    def __init__(
        self,
        wait_s: float,
        message: str = "too many requests from this address",
        *,
        hint: str = "try again later",
    ) -> None:
        super().__init__(message, hint=hint)
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
        key, now = group_address(address), self.clock()
        tokens = self.count(key, now)
        wait_s = max(0.0, count - tokens) / self.rate
        self.buckets.pop(key, None)  # the newest is the last
        self.buckets[key] = (tokens if wait_s else tokens - count, now)
        if len(self.buckets) > TABLE_SIZE:
            self.buckets.popitem(last=False)
        return wait_s

    def put(self, address: str, count: float) -> None:
        """Give `address` back what it took."""
        if self.rate > 0:
            key, now = group_address(address), self.clock()
            self.buckets[key] = (min(float(self.burst), self.count(key, now) + count), now)

    def find_wait(self, address: str, count: float = 1) -> float:
        """Return the seconds until `address` has `count` tokens, which it keeps; 0 if it has."""
        if self.rate <= 0:
            return 0.0
        return max(0.0, count - self.count(group_address(address), self.clock())) / self.rate

    def count(self, key: str, now: float) -> float:
        """Return how many tokens a bucket has."""
        tokens, at = self.buckets.get(key, (float(self.burst), now))
        return min(float(self.burst), tokens + (now - at) * self.rate)

    async def __call__(self, request: Request) -> None:
        """Raise `TooManyRequestsError` when the client's bucket is empty."""
        wait_s = self.take("" if self.is_for_all else address_of(request))
        if wait_s:
            request.app.state.kit.metrics.rejected.labels("rate_limit").inc()
            raise TooManyRequestsError(wait_s, *([OF_THIS_KIND] if self.is_for_all else []))


def address_of(request: Request) -> str:
    """Return the client's address, which a proxy may have told."""
    return request.client.host if request.client else ""


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
