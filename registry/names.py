"""Words that the parts of the registry share: names of farms, days and months (in UTC)."""

import base64
import binascii
import calendar
import re
import time

from registry.errors import RegistryError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")
BOOT = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
KEY_BYTES = 32
DAY_S = 86400


def check_name(name: str) -> str:
    """Return a farm's name. Raises `RegistryError`."""
    if not NAME.fullmatch(name):
        raise RegistryError(
            f"{name[:60]!r} cannot be a farm's name",
            hint="1 to 50 letters, digits, - and _, the first a letter or digit",
        )
    return name


def parse_key(text: str, what: str) -> bytes:
    """Return an Ed25519 public key in base64. Raises `RegistryError`."""
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise RegistryError(f"{what} is no Ed25519 public key: base64 of {KEY_BYTES} bytes")
    return key


def show_key(key: bytes) -> str:
    """Return a key in base64."""
    return base64.b64encode(key).decode()


def day_of(at_s: float) -> int:
    """Return the day that a time is in: days since 1970."""
    return int(at_s // DAY_S)


def month_of(day: int) -> str:
    """Return the month that a day is in, as YYYY-MM."""
    return time.strftime("%Y-%m", time.gmtime(day * DAY_S))


def days_of(month: str) -> range:
    """Return the days of a month. Raises `RegistryError`."""
    found = MONTH.fullmatch(month)
    if not found or int(found[1]) < 1970:
        raise RegistryError(f"{month[:20]!r} is no month", hint="YYYY-MM, such as 2026-11")
    year, number = int(found[1]), int(found[2])
    first = calendar.timegm((year, number, 1, 0, 0, 0)) // DAY_S
    return range(first, first + calendar.monthrange(year, number)[1])
