"""The `router.yaml` of an older flist: the stores of its blocks.

    pools:
      private: {"00:7f": "zdb://a:9900/ns", "80:ff": "zdb://b:9900/ns"}
      public: {"00:ff": "ardb://hub:16379"}
    lookup: [private, public]
    cache: [private]

A range is a prefix of hex digits, or two prefixes of the same length. Here it becomes a range of
first bytes; if that is wider, a store may be asked for a block that it does not have. Pools that
are only caches are ignored. Source: upstream's 0-fs.
"""

import re
from urllib.parse import urlsplit

import yaml

from common.nesting import check_nesting
from flist.errors import FormatError
from flist.model import Route

MAX_ROUTER_BYTES = 64 << 10
MAX_ROUTES = 4096
MAX_DEPTH = 4
SCHEMES = {"ardb": "redis", "redis": "redis", "zdb": "zdb"}
DIGITS = re.compile(r"([0-9a-fA-F]{1,64})(?::([0-9a-fA-F]{1,64}))?")


def parse_router(data: bytes) -> list[Route]:
    """Return the routes, in the order of lookup; raises `FormatError`."""
    if len(data) > MAX_ROUTER_BYTES:
        raise FormatError(f"cannot read router.yaml: it has more than {MAX_ROUTER_BYTES} bytes")
    try:
        check_nesting(data, MAX_DEPTH)
        value = yaml.load(data, Loader=yaml.CBaseLoader)  # noqa: S506 it makes only text
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise FormatError(f"cannot read router.yaml: {first_line(error)}") from error
    pools = value.get("pools") if isinstance(value, dict) else None
    lookup = value.get("lookup") if isinstance(value, dict) else None
    if not isinstance(pools, dict) or not isinstance(lookup, list):
        raise FormatError("cannot read router.yaml: it has no pools or no lookup")
    routes: list[Route] = []
    for name in lookup:
        pool = pools.get(name) if isinstance(name, str) else None
        if not isinstance(pool, dict):
            raise FormatError(f"cannot read router.yaml: there is no pool {str(name)[:80]!r}")
        routes += [parse_route(span, url) for span, url in pool.items()]
        if len(routes) > MAX_ROUTES:
            raise FormatError(f"cannot read router.yaml: it has more than {MAX_ROUTES} routes")
    return list(dict.fromkeys(routes))


def parse_route(span: object, url: object) -> Route:
    """Return one route of a pool."""
    match = DIGITS.fullmatch(span) if isinstance(span, str) else None
    if match is None or (match[2] and len(match[1]) != len(match[2])):
        raise FormatError(f"cannot read router.yaml: {str(span)[:80]!r} is not a range")
    start = int(match[1].ljust(2, "0")[:2], 16)
    end = int((match[2] or match[1]).ljust(2, "f")[:2], 16)
    if start > end:
        raise FormatError(f"cannot read router.yaml: the range {span!r} is empty")
    return Route(start, end, parse_url(url))


def parse_url(url: object) -> str:
    """Return the URL of the store. Only zdb and redis are allowed: the file may come from anywhere,
    and must not make us open, say, a local folder."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        host = parts.hostname if parts else None
    except ValueError:
        parts, host = None, None
    if parts is None or not host or parts.scheme not in SCHEMES:
        raise FormatError(f"cannot read router.yaml: {str(url)[:80]!r} is not a zdb or redis store")
    return parts._replace(scheme=SCHEMES[parts.scheme]).geturl()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
