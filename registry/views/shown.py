"""What the registry's own API shows of farms and nodes."""

import json
from typing import Any

SILENT_AFTER = 2.5
"""A node counts as up until it has missed two reports, and the jitter of one."""
OWN = ("number", "id", "farm", "boot", "sequence", "reports", "uptime_s", "kind", "doubt")
JUDGED = ("is_enrolled", "enrolment_why", "is_attested", "attestation_why", "identity")
RESOURCES = ("cru", "mru", "sru", "hru", "ipv4u")


def show_farm(row: Any) -> dict[str, Any]:
    """Return a farm as its owner has signed it."""
    return {
        "farm": row.number,
        "sequence": row.sequence,
        "name": row.name,
        "owner": row.owner,
        "node_ca": row.node_ca,
        "public": json.loads(row.public),
        "created": row.created_s,
        "changed": row.changed_s,
        "position": row.position,
    }


def show_node(row: Any, now_s: float, interval_s: float) -> dict[str, Any]:
    """Return a node: what it said last, and what the registry thinks of it."""
    found = row._mapping
    return {
        **{name: found[name] for name in OWN},
        "status": find_status(row.kind, row.at_s, now_s, interval_s),
        "reported": row.at_s,
        "registered": row.registered_s,
        "created": row.created_s,
        "position": row.position,
        **{name: found[name] for name in JUDGED},
        "capacity": {name: found[name] for name in RESOURCES},
        "used": {name: found[f"used_{name}"] for name in RESOURCES},
        "run_mode": row.run_mode,
        "version": row.version,
        "said": json.loads(row.body),
        "problems": json.loads(row.problems),
    }


def find_status(kind: str, at_s: float, now_s: float, interval_s: float) -> str:
    """Return whether a node is `up`, `off` by plan, or `down`: it has been silent for too long."""
    if kind == "shutdown":
        return "off"
    return "up" if now_s - at_s <= SILENT_AFTER * interval_s else "down"
