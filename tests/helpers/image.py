"""The packages and wheels of a release, for tests."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from common.debian.fetch import fetch_or_resolve
from image.lock.model import ReleaseLock, find_request, load_lock
from image.lock.wheels import fetch_wheels
from tests.helpers.needs import need_tool


def frozen_function(value: Any) -> Callable[..., Any]:
    """Return a function that returns `value`, or, if that is a dict, what it has for a kind."""
    return lambda *args: value[args[0].name] if isinstance(value, dict) else value


def obtain_lock(profile: str = "virt") -> ReleaseLock:
    """Return a lock of a profile whose files are in the user's cache.

    It is the committed one, unless mirrors have dropped a version of it: the tests must go on.
    """
    need_tool("apt-get")
    lock = load_lock(find_request(profile))
    debian, *tools = [fetch_or_resolve(part, warn=print, progress=print)[0] for part in lock.parts]
    fetch_wheels(lock.wheels, debian.architecture)
    return replace(lock, debian=debian, tools=tools[0] if tools else None)
