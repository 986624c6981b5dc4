"""Checks a process's user, groups and capabilities, as proc_pid_status(5) shows them."""

from common.capabilities import NAMES
from core.errors import CoreError
from core.sandbox.profile import Profile

ALL = NAMES.split()
FIX = "the service file says user, capabilities and no_new_privileges; compare it with the profile"


class SandboxError(CoreError):
    """A process that may do more, or less, than its profile says."""


def check_privileges(text: str, profile: Profile) -> None:
    """Raise `SandboxError` unless the process of this /proc/PID/status is what `profile` says."""
    fields = parse_status(text)
    faults = [*user_faults(fields, profile), *capability_faults(fields, profile)]
    if faults:
        raise SandboxError(f"cannot run as {profile.name}: {'; '.join(faults)}", hint=FIX)


def parse_status(text: str) -> dict[str, str]:
    """Return the fields of a status file."""
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}


def user_faults(fields: dict[str, str], profile: Profile) -> list[str]:
    """Return what is wrong with the user and the groups."""
    number, faults = profile.user.number, []
    for name, word in (("Uid", "user"), ("Gid", "group")):
        ids = set(fields.get(name, "?").split())
        if ids != {str(number)}:
            faults.append(f"its {word} is {', '.join(sorted(ids))}, and not {number}")
    allowed = {str(group) for group in (number, *profile.groups)}
    if surplus := sorted(set(fields.get("Groups", "?").split()) - allowed):
        faults.append(f"it is in the groups {', '.join(surplus)}, too")
    return faults


def capability_faults(fields: dict[str, str], profile: Profile) -> list[str]:
    """Return what is wrong with the capabilities."""
    faults = []
    for name in ("CapPrm", "CapEff", "CapBnd"):
        found = capabilities_of(fields.get(name, ""))
        if found is None:
            return ["its capabilities can't be read"]
        if surplus := sorted(found - profile.capabilities):
            faults.append(f"it has {', '.join(surplus)} in {name}, too")
        if lacking := sorted(profile.capabilities - found):
            faults.append(f"it lacks {', '.join(lacking)} in {name}")
    return faults


def capabilities_of(digits: str) -> set[str] | None:
    """Return the names in a mask of hexadecimal digits; a number for what has no name."""
    try:
        mask = int(digits, 16)
    except ValueError:
        return None
    numbers = (number for number in range(mask.bit_length()) if mask >> number & 1)
    return {ALL[number] if number < len(ALL) else str(number) for number in numbers}
