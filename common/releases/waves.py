"""When which farms take a release: as the channel's keys have signed it.

    "waves": {"published": UNIX TIME, "steps": [[PARTS, AFTER_S], ...]}

PARTS is how many of a million farms take it, as canonical JSON has no fractions. The first step
whose PARTS are more than the farm's place says when: AFTER_S seconds after `published`. A farm's
place depends on the release, so it is not always the same farms that are first.
"""

import hashlib
from dataclasses import dataclass

from common.tuf.errors import MalformedError

STEPS_MAX = 16
AFTER_MAX_S = 366 * 86_400
TIME_MAX = 1 << 40
WHOLE = 1_000_000


@dataclass(frozen=True)
class Waves:
    """The steps of a roll-out: (parts of the farms, seconds after `published`), ascending."""

    published: int
    steps: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        """Raise `MalformedError` for what says not exactly when each farm's turn comes."""
        if type(self.published) is not int or not 0 <= self.published < TIME_MAX:
            raise MalformedError("the waves of a release do not say when they began")
        if not 0 < len(self.steps) <= STEPS_MAX:
            raise MalformedError(f"a release has 1 to {STEPS_MAX} waves")
        parts = [part for part, _ in self.steps]
        afters = [after_s for _, after_s in self.steps]
        if parts != sorted(set(parts)) or afters != sorted(afters):
            raise MalformedError("the waves of a release must grow, and follow one another")
        if parts[0] <= 0 or parts[-1] != WHOLE:
            raise MalformedError("the last wave of a release is 100 %, and none is more or nothing")
        if not all(0 <= after_s <= AFTER_MAX_S for after_s in afters):
            raise MalformedError("a wave of a release comes within a year")

    def __str__(self) -> str:
        """Return the steps for people."""
        return " ".join(f"{percent(parts)}@{after_s}s" for parts, after_s in self.steps)

    def turn_of(self, release: str, farm: int) -> int:
        """Return when a farm's turn comes (Unix time)."""
        place = place_of(release, farm)
        return self.published + next(after for parts, after in self.steps if place < parts)

    def to_json(self) -> dict[str, object]:
        """Return it as the channel has it."""
        return {"published": self.published, "steps": [list(step) for step in self.steps]}


def percent(parts: int) -> str:
    """Return parts of a million for people."""
    return f"{parts * 100 / WHOLE:g}%"


def place_of(release: str, farm: int) -> int:
    """Return the place of a farm among a million."""
    digest = hashlib.sha256(f"{release}\0{farm}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * WHOLE >> 64


def parse_waves(value: object) -> Waves | None:
    """Return the waves that a channel has signed, None if it has none. Raises `MalformedError`."""
    if value is None:
        return None
    if not isinstance(value, dict) or value.keys() != {"published", "steps"}:
        raise MalformedError("the waves of a release have a beginning and steps, and nothing else")
    steps = value["steps"]
    if not isinstance(steps, list) or not all(is_step(step) for step in steps):
        raise MalformedError("a wave of a release is a number of parts and one of seconds")
    return Waves(value["published"], tuple((step[0], step[1]) for step in steps))


def is_step(value: object) -> bool:
    """Return whether a value of JSON is a step."""
    return isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value)
