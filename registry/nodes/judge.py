"""Whether a report follows the one before, and what of it counts as availability. No I/O.

What a node says of itself is never believed further than the registry's own clock bears it out: the
time between two reports of one boot counts if the uptime grew by as much, and if it is short enough
that the node was heard of. Everything here is computed from the log again by `check`.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from registry.errors import ConflictError, NotAllowedError
from registry.names import DAY_S, day_of
from registry.nodes.model import REGISTER, Report

ALLOWANCE_S = 60.0
"""By how much clocks and networks may be off, as upstream's chain allows."""
GAP_S = 7200.0
"""After so long without a report nothing counts, but for the registry's own pauses."""
NONCE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a node is: what its next report has to follow; `is_enrolled` is as the database has
    it, whatever a batch adds."""

    number: int
    id: str
    farm: int
    boot: str
    sequence: int
    reports: int
    at_s: float
    uptime_s: float
    is_enrolled: bool = False

    def after(self, report: Report, at_s: float) -> "Standing":
        """Return where the node is after a report that was accepted."""
        return replace(
            self, farm=report.farm, boot=report.boot, sequence=report.sequence,
            reports=self.reports + 1, at_s=at_s, uptime_s=report.uptime_s,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judgement:
    """`doubt` is why a report does not count, `up` the milliseconds that do, by day."""

    doubt: str
    up: tuple[tuple[int, int], ...]
    is_boot: bool


def make_nonce(secret: bytes, node: str, reports: int) -> str:
    """Return what the next report of a node must carry: each accepted one changes it."""
    whole = f"{node}\0{reports}".encode()
    digest = hmac.digest(secret, whole, hashlib.sha256)[:NONCE_BYTES]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def check_order(last: Standing | None, report: Report, nonce: str) -> None:
    """Raise `ConflictError` unless a report is the next one; `nonce` is the one it must have."""
    is_same = last is not None and last.boot == report.boot
    sequence = last.sequence + 1 if last and is_same else 1
    fault = find_fault(last, report, sequence, nonce)
    if fault:
        error = ConflictError(fault, hint="report again with what is expected")
        expected = {"boot": report.boot, "sequence": sequence, "nonce": nonce}
        error.http_members = {"expected": expected}
        error.is_suspect = last is None  # a known node may have lost an answer, or it is a replay
        raise error


def find_fault(last: Standing | None, report: Report, sequence: int, nonce: str) -> str:
    """Return why a report is not the next one; empty if it is."""
    if report.sequence != sequence:
        return explain_sequence(last, report, sequence)
    if not hmac.compare_digest(report.nonce.encode(), nonce.encode()):
        return "the report's nonce is not the one that the registry gave last"
    if sequence == 1 and report.kind != REGISTER:
        return "a boot's first report is a registration"
    return ""


def explain_sequence(last: Standing | None, report: Report, expected: int) -> str:
    """Return what is wrong with a report's sequence."""
    said = f"the report's sequence is {report.sequence}, and {expected} is the next one"
    if last is None or last.boot != report.boot:
        return f"{said}: this boot has not reported yet, or is over"
    is_old = report.sequence < expected
    return f"{said}: " + ("it was reported before" if is_old else "reports are missing between")


def check_farm(last: Standing | None, report: Report, enrolled_for: int | None) -> None:
    """Raise `NotAllowedError` if a node of one farm says that it is another's, without proof."""
    if last is None or last.farm == report.farm:
        return
    if report.kind != REGISTER or enrolled_for != report.farm:
        raise NotAllowedError(
            f"the node belongs to farm {last.farm}: to move, it needs a token of {report.farm}",
            hint="boot it from an image of the new farm",
        )


def judge(
    last: Standing | None, report: Report, at_s: float, pauses: Callable[[float, float], float]
) -> Judgement:
    """Return what a report that arrived at `at_s` is worth.

    `pauses` gives the seconds between two times in which no server of the registry could write.
    """
    is_boot = last is None or last.boot != report.boot
    doubt = find_doubt(last, report, at_s)
    if doubt or last is None or is_boot:
        return Judgement(doubt, (), is_boot)
    silent_s = at_s - last.at_s
    if silent_s > GAP_S and silent_s - pauses(last.at_s, at_s) > GAP_S:
        return Judgement("", (), is_boot=False)
    return Judgement("", tuple(split_days(last.at_s, at_s)), is_boot=False)


def find_doubt(last: Standing | None, report: Report, at_s: float) -> str:
    """Return why a report does not fit what the registry knows; empty if it does."""
    off_s = report.sent - at_s
    if abs(off_s) > ALLOWANCE_S:
        return f"it says that it was sent {abs(off_s):.0f} s {'later' if off_s > 0 else 'earlier'}"
    if last is None:
        return ""
    passed_s = at_s - last.at_s
    if last.boot == report.boot:
        grown_s = report.uptime_s - last.uptime_s
        if abs(grown_s - passed_s) > ALLOWANCE_S:
            return f"its uptime grew by {grown_s:.0f} s while {passed_s:.0f} s passed"
    elif report.uptime_s > passed_s + ALLOWANCE_S:
        return "it says that this boot began before the last report of another one"
    return ""


def split_days(start_s: float, end_s: float) -> Iterator[tuple[int, int]]:
    """Yield the days of an interval, each with its milliseconds."""
    at, end = round(start_s * 1000), round(end_s * 1000)
    while at < end:
        day = day_of(at / 1000)
        until = min(end, (day + 1) * DAY_S * 1000)
        yield day, until - at
        at = until
