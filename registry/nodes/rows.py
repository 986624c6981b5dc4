"""What the table of nodes has of a report."""

import json
from collections.abc import Mapping
from typing import Any

from registry.nodes.model import Body, Heartbeat, Register, Release, Report, Resources

NOT_KEPT = ("quote", "enrol")  # proofs: the log has them, the table what came of them


def progress_row(
    report: Report, at_s: float, reports: int, doubt: str, position: int
) -> dict[str, Any]:
    """Return what every report changes."""
    return {
        "farm": report.farm,
        "boot": report.boot,
        "sequence": report.sequence,
        "reports": reports,
        "at_s": at_s,
        "uptime_s": report.uptime_s,
        "kind": report.kind,
        "doubt": doubt,
        "position": position,
    }


def body_row(report: Report, body: Body, at_s: float) -> dict[str, Any]:
    """Return what a body changes beside that."""
    if isinstance(body, Register):
        return register_row(report.body, body, at_s)
    if not isinstance(body, Heartbeat):
        return {}
    release = release_row(body.release) if body.release else {}
    return {**used_row(body.used), **release, "problems": show_problems(body)}


def register_row(said: Mapping[str, Any], body: Register, at_s: float) -> dict[str, Any]:
    """Return what a registration says."""
    return {
        "registered_s": at_s,
        "identity": body.identity,
        "hypervisor": body.hypervisor,
        "serial": body.serial,
        "is_virtualized": body.virtualized,
        "has_secure_boot": body.secure_boot,
        "gpus": len(body.gpus),
        **body.capacity.model_dump(),
        **used_row(body.used),
        **release_row(body.release),
        "body": dump({key: value for key, value in said.items() if key not in NOT_KEPT}),
        "problems": show_problems(body),
    }


def release_row(release: Release) -> dict[str, Any]:
    """Return what the node runs."""
    return {"run_mode": release.run_mode, "version": release.version}


def used_row(used: Resources) -> dict[str, Any]:
    """Return what is in use."""
    return {f"used_{name}": amount for name, amount in used.model_dump().items()}


def show_problems(body: Register | Heartbeat) -> str:
    """Return what is wrong, as JSON."""
    return dump([problem.model_dump() for problem in body.problems])


def dump(value: object) -> str:
    """Return JSON; a zero character, which PostgreSQL has no text with, stays escaped."""
    return json.dumps(value, separators=(",", ":"))
