"""The words of the kernel's command line that concern updates.

update.window=02:00-04:00   the time of day, in UTC, at which the node changes and may reboot
update.interval=600         how often the channel is asked, in seconds
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from common.bootwords import read_words
from core.update.policy import Window

INTERVAL_S = 600
INTERVAL_MIN_S, INTERVAL_MAX_S = 10, 86_400
CLOCK = r"([01][0-9]|2[0-3]):([0-5][0-9])"
WINDOW = re.compile(f"{CLOCK}-{CLOCK}", re.ASCII)


@dataclass(frozen=True)
class Parameters:
    """How the node updates; without a window at any time, and without a reboot."""

    interval_s: int = INTERVAL_S
    window: Window | None = None


def parse_parameters(text: str, tell: Callable[[str], None]) -> Parameters:
    """Parse a kernel command line; `tell` gets a line for each word that can't be used."""
    words = read_words(text)
    return Parameters(
        parse_interval(words.first("update.interval"), tell),
        parse_window(words.first("update.window"), tell),
    )


def parse_interval(text: str, tell: Callable[[str], None]) -> int:
    """Return the pause between two looks at the channel."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(INTERVAL_MAX_S))
    if is_number and INTERVAL_MIN_S <= int(text) <= INTERVAL_MAX_S:
        return int(text)
    if text:
        span = f"{INTERVAL_MIN_S} to {INTERVAL_MAX_S} seconds"
        tell(f"cannot use update.interval={text[:40]}: it is {span}; using {INTERVAL_S}")
    return INTERVAL_S


def parse_window(text: str, tell: Callable[[str], None]) -> Window | None:
    """Return the window; a wrong one is none, as a node that never updates is worse."""
    found = WINDOW.fullmatch(text)
    if found:
        hours = [int(number) for number in found.groups()]
        begin, end = (hours[at] * 3600 + hours[at + 1] * 60 for at in (0, 2))
        if begin != end:
            return Window(begin, end)
    if text:
        tell(f"cannot use update.window={text[:40]}: it is HH:MM-HH:MM in UTC; using none")
    return None
