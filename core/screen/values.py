"""What the screen shows, read out of the daemons' answers. Pure.

Any answer may be missing: then that part says so, and the rest is shown. All texts may come from
a workload or the network, so they are made printable here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from common.text import printable

TEXT_MAX = 400
SETTLED = ("Running", "Success")
WAITING = ("Blocked", "Spawned", "Unknown")
UNITS = 1 << 30


@dataclass(frozen=True)
class Answers:
    """What the daemons have answered; None for one that does not."""

    door: Mapping[str, Any] | None = None
    services: Iterable[Mapping[str, Any]] | None = None
    identity: Mapping[str, Any] | None = None
    facts: Mapping[str, Any] | None = None
    load: Mapping[str, Any] | None = None
    report: Mapping[str, Any] | None = None
    kernel: str = ""


@dataclass(frozen=True)
class Seen:
    """The screen's content. `state` is the one large word: READY, STARTING or a code.

    `rows` are names and their texts; `problems` are shown in red.
    """

    farm: str
    state: str
    title: str
    rows: tuple[tuple[str, str], ...]
    problems: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Return whether the node is ready and nothing is wrong."""
        return self.state == "READY" and not self.problems


def look(answers: Answers) -> Seen:
    """Return what the screen shows."""
    door = answers.door or {}
    faults = rows_of(door.get("problems")) + rows_of((answers.report or {}).get("problems"))
    services = list(answers.services or ())
    broken = [one for one in services if is_broken(one)]
    problems = [problem_text(one) for one in faults]
    problems += [f"service {text(one.get('name'))} is {text(one.get('state'))}" for one in broken]
    if answers.door is None:
        problems.insert(0, "bring-up does not answer")
    rows = (
        ("Node", describe_node(answers.identity)),
        *describe_key(answers.identity),
        ("Address", describe_addresses(door.get("network"))),
        ("Release", describe_release(door)),
        ("Services", describe_services(answers.services, services, broken)),
        ("Load", describe_load(answers.load)),
        ("Capacity", describe_capacity(answers.facts)),
        ("Registry", describe_report(answers.report)),
        *describe_update(door.get("update")),
    )
    farm = door.get("farm")
    return Seen(
        farm=str(farm) if type(farm) is int and farm else "",
        state=state_of(door, faults),
        title=describe_title(door, answers.kernel),
        rows=rows,
        problems=tuple(dict.fromkeys(problems)),
    )


def describe_title(door: Mapping[str, Any], kernel: str) -> str:
    """Return the top line."""
    farm = text(door.get("farm") or "none")
    return f"Zero-OS   farm {farm}   run mode {text(door.get('run_mode'))}   kernel {text(kernel)}"


def text(value: object) -> str:
    """Return a value as a text that a terminal can show on one line; "?" for nothing."""
    return printable(str(value)[:TEXT_MAX]) if value not in (None, "") else "?"


def rows_of(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list."""
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def number(value: object) -> float:
    """Return a number, 0 for anything else."""
    return float(value) if isinstance(value, int | float) and value == value else 0.0


def problem_text(problem: Mapping[str, Any]) -> str:
    """Return a problem with its code, if it has one."""
    code = problem.get("code")
    return f"{text(code)}  {text(problem.get('text'))}" if code else text(problem.get("text"))


def state_of(door: Mapping[str, Any], faults: list[Mapping[str, Any]]) -> str:
    """Return the large word: what keeps the node from booting is named by its code."""
    if door.get("stage") == "ready":
        return "READY"
    codes = [str(one.get("code")) for one in faults if str(one.get("code")).startswith("ZB")]
    return codes[0][:8] if codes else "STARTING"


def is_broken(service: Mapping[str, Any]) -> bool:
    """Return whether a service neither runs, nor is on its way, nor has done its work."""
    return word_of(service) not in (*SETTLED, *WAITING)


def word_of(service: Mapping[str, Any]) -> str:
    """Return a service's state without the detail that zinit adds in parentheses."""
    return str(service.get("state")).partition("(")[0]


def describe_node(identity: Mapping[str, Any] | None) -> str:
    """Return the node's id, and how long it lasts."""
    if identity is None:
        return "the identity daemon does not answer"
    kinds = {"tpm": "key in the TPM", "disk": "key on a disk", "ephemeral": "until it restarts"}
    return f"{text(identity.get('node'))}  ({kinds.get(str(identity.get('kind')), '?')})"


def describe_key(identity: Mapping[str, Any] | None) -> tuple[tuple[str, str], ...]:
    """Return the row of what an operator has to know of the node's key, if there is something."""
    why = (identity or {}).get("why")
    return (("Key", text(why)),) if why else ()


def describe_addresses(network: object) -> str:
    """Return the addresses of the links, those of the chosen one first."""
    found = mapping(network)
    links = rows_of(found.get("links"))
    links.sort(key=lambda link: link.get("name") != found.get("chosen"))
    texts = [
        f"{text(lease.get('address'))} on {text(link.get('name'))}"
        for link in links
        for lease in rows_of(link.get("leases"))
    ]
    without = [text(link.get("name")) for link in links if not link.get("carrier")]
    if without:
        texts.append(f"no cable: {', '.join(without)}")
    return ", ".join(dict.fromkeys(texts)) or "none yet"


def describe_release(door: Mapping[str, Any]) -> str:
    """Return the version of what runs, and how far a boot that is not done has got."""
    stage = door.get("stage")
    reached = "" if stage == "ready" else f", boot has reached: {text(stage)}"
    return f"{text(door.get('release'))}{reached}"


def describe_services(
    answer: object, services: list[Mapping[str, Any]], broken: list[Mapping[str, Any]]
) -> str:
    """Return how many services there are."""
    if answer is None:
        return "bring-up does not answer"
    good = sum(word_of(one) in SETTLED for one in services)
    waiting = len(services) - good - len(broken)
    parts = [f"{good} run or are done"]
    parts += [f"{waiting} starting"] if waiting else []
    parts += [f"{len(broken)} failed"] if broken else []
    return ", ".join(parts)


def describe_load(load: Mapping[str, Any] | None) -> str:
    """Return how busy the machine is."""
    if load is None:
        return "the capacity daemon does not answer"
    memory = mapping(load.get("memory"))
    used, total = (megabytes(memory.get(name)) for name in ("used", "total"))
    busy = round(number(load.get("busy")) * 100)
    return f"CPU {busy} %, memory {used} of {total} MB, up {duration(number(load.get('uptime_s')))}"


def describe_capacity(facts: Mapping[str, Any] | None) -> str:
    """Return what the machine has, in upstream's units."""
    if facts is None:
        return "the capacity daemon does not answer"
    found = mapping(facts.get("capacity"))
    sizes = (gigabytes(found.get(name)) for name in ("mru", "sru", "hru"))
    memory, ssd, hdd = sizes
    return f"{round(number(found.get('cru')))} CPU, memory {memory}, SSD {ssd}, HDD {hdd}"


def describe_report(report: Mapping[str, Any] | None) -> str:
    """Return whether the registry knows the node."""
    if report is None:
        return "the report daemon does not answer"
    if not report.get("registry"):
        return "none is named"
    state = "registered" if report.get("registered") else "not registered yet"
    return f"{state}, {text(report.get('registry'))}"


def describe_update(update: object) -> tuple[tuple[str, str], ...]:
    """Return the row of an update, if there is one to speak of."""
    found = mapping(update)
    state = found.get("state")
    if state in (None, "", "idle"):
        return ()
    parts = (state, found.get("target"), found.get("reason"))
    return (("Update", ": ".join(text(part) for part in parts if part)),)


def gigabytes(size: object) -> str:
    """Return a size as upstream's screen has it: rounded half to even."""
    return f"{round_even(size, UNITS)} GB"


def megabytes(size: object) -> int:
    """Return a size in MB, rounded down."""
    return (size if isinstance(size, int) else 0) >> 20


def round_even(size: object, unit: int) -> int:
    """Return how many units a size has; exact for any integer."""
    whole, rest = divmod(size if isinstance(size, int) else 0, unit)
    is_up = rest * 2 > unit or (rest * 2 == unit and whole % 2 == 1)
    return whole + is_up


def duration(seconds: float) -> str:
    """Return a time in days, hours and minutes."""
    minutes = int(seconds) // 60
    days, hours = minutes // 1440, minutes // 60 % 24
    return f"{days} d {hours} h" if days else f"{hours} h {minutes % 60:02} min"
