"""The words of the kernel's command line that concern updates.

update.window=02:00-04:00   the time of day, in UTC, at which the node changes and may reboot
update.interval=600         how often the channel is asked, in seconds
update.reboot=always        reboot in each window in which a kernel waits, whether or not it helps
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from common.bootwords import read_words
from core.update.policy import Rules, Window

INTERVAL_S = 600
INTERVAL_MIN_S, INTERVAL_MAX_S = 10, 86_400
ONCE, ALWAYS = "once", "always"
ANY_TIME = Rules()
CLOCK = r"([01][0-9]|2[0-3]):([0-5][0-9])"
WINDOW = re.compile(f"{CLOCK}-{CLOCK}", re.ASCII)


@dataclass(frozen=True)
class Parameters:
    """How often the channel is asked, and when the node does what follows."""

    interval_s: int = INTERVAL_S
    rules: Rules = ANY_TIME


def parse_parameters(text: str, tell: Callable[[str], None]) -> Parameters:
    """Parse a kernel command line; `tell` gets a line for each word that can't be used."""
    words = read_words(text)
    return Parameters(
        parse_interval(words.first("update.interval"), tell),
        Rules(
            parse_window(words.first("update.window"), tell),
            parse_reboot(words.first("update.reboot"), tell),
        ),
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


def parse_reboot(text: str, tell: Callable[[str], None]) -> bool:
    """Return whether the node may reboot again and again for a kernel."""
    if text not in ("", ONCE, ALWAYS):
        tell(f"cannot use update.reboot={text[:40]}: it is {ONCE} or {ALWAYS}; using {ONCE}")
    return text == ALWAYS
