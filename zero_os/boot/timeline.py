"""The stages of a boot, recognised in the lines of a node's console. No I/O."""

import re
from dataclasses import dataclass, field

# Stages on the host, which calls `reach`.
HOST_STAGES = ("image built", "image personalised")
# Stages on the console. (The ROM of a network card prints "iPXE (http", which does not match.)
CONSOLE_STAGES = {
    "firmware": re.compile(r"SeaBIOS \(|BdsDxe: starting"),
    "iPXE": re.compile(r"iPXE (initialising|\d)"),
    "kernel": re.compile(r"Linux version \d"),
    "zinit": re.compile(r"\bzinit: "),
    "network": re.compile(r"\bnetwork: up: (?P<detail>.*)"),
    "flist mounted": re.compile(r"\bbringup: flist mounted"),
}
LAST_STAGE = "workload up"
STAGES = (*HOST_STAGES, *CONSOLE_STAGES, LAST_STAGE)

FARM = re.compile(r"\bbringup: farm (\d+), run mode (\w+)")


@dataclass
class Timeline:
    """The time of each stage, in seconds since the command began."""

    reached: dict[str, float] = field(default_factory=dict)
    farm: int | None = None  # as the node reports it
    reported: dict[str, float] = field(default_factory=dict)  # stages in the server's boot log

    def reach(self, stage: str, at_s: float) -> None:
        """Record that `stage` was reached; only the first time counts."""
        self.reached.setdefault(stage, at_s)

    def read_line(self, line: str, at_s: float) -> str | None:
        """Record what a console line shows; return the stage that it is the first sign of."""
        said = FARM.search(line)
        if said:
            self.farm = int(said[1])
        for stage, pattern in CONSOLE_STAGES.items():
            if stage not in self.reached and pattern.search(line):
                self.reach(stage, at_s)
                return stage
        return None

    def read_report(self, stage: str, at_s: float) -> bool:
        """Record a stage that the server was told of; return whether it is new."""
        is_new = stage not in self.reported
        self.reported.setdefault(stage, at_s)
        return is_new

    @property
    def missing(self) -> list[str]:
        """Return the stages that were not reached."""
        return [stage for stage in STAGES if stage not in self.reached]

    @property
    def awaited(self) -> str:
        """Return the stage after the last one that was reached."""
        last = max((STAGES.index(stage) for stage in self.reached), default=-1)
        return STAGES[min(last + 1, len(STAGES) - 1)]

    def rows(self) -> list[tuple[str, float, float]]:
        """Return (stage, seconds since the start, seconds since the previous stage)."""
        rows = []
        before = 0.0
        for stage in STAGES:
            if stage in self.reached:
                at_s = self.reached[stage]
                rows.append((stage, at_s, max(0.0, at_s - before)))
                before = at_s
        return rows
