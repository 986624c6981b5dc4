"""What reports say: from the answers of the other daemons to the registry's form. No I/O.

The registry refuses what is too long, so everything is cut to what it takes.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.places import API_PORT

ITEMS_MAX = 200
NAME_CHARS, SERIAL_CHARS, TEXT_CHARS = 60, 100, 500
DMI_BYTES = 48 << 10  # of an envelope of 256 KiB, with a quote's event log in it
DMI_FIRST = (0, 1, 2, 3, 4, 16, 17)  # the sections that are shown, before all others
RESOURCES = ("cru", "mru", "sru", "hru", "ipv4u")

Facts = Mapping[str, Any]


def register_body(
    facts: Facts, status: Facts, identity: Facts, enrol: str, quote: Any, kernel: str
) -> dict[str, Any]:
    """Return the body of a registration."""
    interfaces = [cut_interface(item) for item in facts.get("interfaces", [])[:ITEMS_MAX]]
    addresses = [address for item in interfaces for address in item["addresses"]]
    return {
        "capacity": resources(facts.get("capacity")),
        "used": resources(facts.get("used")),
        "interfaces": interfaces,
        "dmi": fit_dmi(facts.get("dmi") or {}),
        "hypervisor": text(facts.get("hypervisor"), NAME_CHARS),
        "virtualized": bool(facts.get("virtualized")),
        "secure_boot": bool(facts.get("secure_boot")),
        "serial": text(facts.get("serial"), SERIAL_CHARS),
        "gpus": list(facts.get("gpus", []))[:ITEMS_MAX],
        "release": release_of(status, kernel),
        "identity": identity.get("kind", "ephemeral"),
        "enrol": enrol,
        "quote": quote,
        "api": {"port": API_PORT, "addresses": addresses[:ITEMS_MAX]},
        "problems": problems_of(status),
    }


def heartbeat_body(
    used: Any, status: Facts, problems: Sequence[Facts], kernel: str
) -> dict[str, Any]:
    """Return the body of a heartbeat; `problems` are the reporter's own."""
    return {
        "used": resources(used),
        "release": release_of(status, kernel),
        "problems": [*problems_of(status), *problems][:ITEMS_MAX],
    }


def resources(amounts: Any) -> dict[str, int]:
    """Return amounts by upstream's names."""
    amounts = amounts if isinstance(amounts, Mapping) else {}
    return {name: int(amounts.get(name) or 0) for name in RESOURCES}


def release_of(status: Facts, kernel: str) -> dict[str, str]:
    """Return what the node runs."""
    return {
        "version": text(status.get("release"), 200),
        "boot_version": text(status.get("boot_version"), 200),
        "kernel": text(kernel, 200),
        "run_mode": text(status.get("run_mode"), 16),
    }


def problems_of(status: Facts) -> list[dict[str, Any]]:
    """Return what bring-up says is wrong."""
    found = status.get("problems")
    items = [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []
    return [problem(item.get("code"), item.get("text"), item.get("since")) for item in items][
        :ITEMS_MAX
    ]


def problem(code: Any, message: Any, since: Any = None) -> dict[str, Any]:
    """Return one problem."""
    is_time = isinstance(since, int | float) and not isinstance(since, bool)
    return {
        "code": text(code, NAME_CHARS) or "unknown",
        "text": text(message, TEXT_CHARS),
        "since": float(since) if is_time else None,
    }


def cut_interface(item: Facts) -> dict[str, Any]:
    """Return one interface."""
    return {
        "name": text(item.get("name"), NAME_CHARS),
        "mac": text(item.get("mac"), NAME_CHARS),
        "addresses": list(item.get("addresses", []))[:ITEMS_MAX],
    }


def fit_dmi(document: Facts) -> dict[str, Any]:
    """Return a description of the machine that is not too long: its main sections, then others."""
    sections = document.get("sections", [])
    order = sorted(range(len(sections)), key=lambda at: (rank(sections[at]), at))
    left, kept = DMI_BYTES, set()
    for at in order:
        left -= len(json.dumps(sections[at]))
        if left < 0:
            break
        kept.add(at)
    return {
        "tooling": document.get("tooling", {}),
        "sections": [sections[at] for at in sorted(kept)],
    }


def rank(section: Facts) -> int:
    """Return 0 for a section that is shown, 1 for others."""
    return 0 if section.get("typenum") in DMI_FIRST else 1


def text(value: Any, longest: int) -> str:
    """Return a text of bounded length; nothing for anything else."""
    return value[:longest] if isinstance(value, str) else ""
