"""What the API tells of machines and boots.

Without a token a farmer sees how far which machine has got: times, stages and codes, the run mode,
whether a token has proved the farm, and the last three bytes of the MAC address, which tell the
machines of one room apart. Whole addresses, UUID, serial number, release and the text of failures
need the scope `read`.
"""

from datetime import UTC, datetime
from typing import Any

from bootstrap_server.nodes.bootlog import Boot, Machine, Step
from common.bootcodes import CODES

SHOWN_MAC_CHARS = 8


def show_machine(machine: Machine, *, is_full: bool) -> dict[str, Any]:
    """Return a machine as JSON, with its newest boot."""
    newest = machine.boots[0] if machine.boots else Boot(machine.first_s, ())
    shown = {
        "id": machine.label,
        "name": machine.identity.mac[-SHOWN_MAC_CHARS:] or machine.label,
        "run_mode": machine.mode or None,
        "is_enrolled": machine.is_enrolled,
        "first_seen": show_time(machine.first_s),
        "last_seen": show_time(machine.last_s),
        **show_boot(newest, is_full=is_full),
    }
    if is_full:
        names = machine.identity
        shown |= {"mac": names.mac, "uuid": names.uuid, "serial": names.serial}
        shown |= {"version": machine.version, "farm": machine.farm}
    return shown


def show_whole_machine(machine: Machine) -> dict[str, Any]:
    """Return a machine as JSON, with all boots that are kept."""
    boots = [show_boot(boot, is_full=True) for boot in machine.boots]
    return {**show_machine(machine, is_full=True), "boots": boots}


def show_boot(boot: Boot, *, is_full: bool) -> dict[str, Any]:
    """Return a boot as JSON: its state (booting, ready, failed), and its stages in order."""
    stages = [show_step(step, is_full=is_full) for step in boot.steps]
    return {"began": show_time(boot.began_s), "state": boot.state, "stages": stages}


def show_step(step: Step, *, is_full: bool) -> dict[str, str]:
    """Return a report as JSON."""
    shown = {"stage": step.stage, "at": show_time(step.at_s)}
    if step.code:
        code = CODES.get(step.code)  # it may be one of an older version
        shown |= {"code": step.code, "reason": code.wrong if code else "an unknown reason"}
    if is_full and step.detail:
        shown["detail"] = step.detail
    return shown


def show_time(time_s: float) -> str:
    """Return a time as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(time_s, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
