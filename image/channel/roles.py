"""The roles of the repository: what each signs, and for how long.

root      names the keys of the four roles. Offline, in several hands.
targets   names the keys of each channel. Offline.
channels  dev, qa, test, prod: each says which release it holds. Its publisher's key.
snapshot  says which versions belong together; without a channel's key it can't make up a release.
timestamp says which snapshot is the newest. Short-lived, so what is held back soon expires.
"""

from collections.abc import Mapping

from common.runmodes import RUN_MODES
from common.tuf.metadata import ROOT, SNAPSHOT, TARGETS, TIMESTAMP

CHANNELS = tuple(RUN_MODES)
TOP = (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
ROLES = (*TOP, *CHANNELS)
DAY_S = 86_400

LIFETIMES_DAYS: Mapping[str, int] = {
    ROOT: 730,
    TARGETS: 730,
    SNAPSHOT: 14,
    TIMESTAMP: 14,
    **dict.fromkeys(CHANNELS, 365),
}
"""A timestamp that is renewed every day outlives two weeks without its maintainer."""

THRESHOLDS: Mapping[str, int] = {ROOT: 2}
"""How many keys `zos image keys init` makes and demands for each role; else one."""


def lifetime_s(role: str) -> int:
    """Return for how long a signature of `role` is valid."""
    return LIFETIMES_DAYS[role] * DAY_S
