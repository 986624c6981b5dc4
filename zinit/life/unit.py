"""What the manager keeps of a service, and what it hands to the system and to its callers."""

from zinit.files.service import Service
from zinit.life import record as r
from zinit.life.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TRANSIENT = (11, 12, 23, 24, 26)  # EAGAIN, ENOMEM, ENFILE, EMFILE, ETXTBSY
MAIN = "main"
PROBE = "probe"
TASK = "task"


class CommandError(Exception):
    """A refused command. The text is upstream's; `kind` identifies the reason."""

    def __init__(self, kind: str, text: str, value: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.value = value  # the refused argument, if the text does not contain it


class Launch:
    """A process to spawn for a service."""

    __slots__ = ("command", "kind", "label", "service")

    def __init__(self, service: "Service", kind: str, label: str, command: str) -> None:
        self.service = service
        self.kind = kind  # MAIN, PROBE or TASK
        self.label = label  # the name on its log lines
        self.command = command


class Unit:
    """One monitored service and what runs for it."""

    __slots__ = (
        "is_leaving",
        "is_new",
        "is_queued",
        "probe_pid",
        "record",
        "timers",
        "times",
        "unmet",
    )

    def __init__(self, service: "Service") -> None:
        self.record = Record(service)
        self.probe_pid = 0
        self.timers: dict[str, float] = {}  # event -> when it is due
        self.unmet: set[str] = set()  # while blocked: the dependencies that are not met
        self.is_new = True  # has not handled any event yet
        self.is_queued = False  # for a spawn
        self.is_leaving = False  # its file is gone; to be removed when it is down
        self.times: dict[str, float] = {}  # stage -> when it was first reached

    @property
    def name(self) -> str:
        """The service's name."""
        return self.record.service.name

    @property
    def lacks_probe(self) -> bool:
        """Whether the unit's phase needs a test that neither runs nor has a timer."""
        service, phase = self.record.service, self.record.phase
        if service.oneshot or self.probe_pid or r.PROBE_DUE in self.timers:
            return False
        tests = {r.STARTING: service.test, r.RUNNING: service.liveness}
        return bool(tests.get(phase))

    def note_time(self, now: float) -> None:
        """Keep the first time of each stage, for `zinit analyze`."""
        record = self.record
        if record.phase == r.BLOCKED:
            self.times.setdefault("blocked", now)
        elif record.has_process:
            self.times.setdefault("spawned", now)
        if record.satisfies:
            self.times.setdefault("ready", now)

    def dump(self) -> "dict[str, Any]":
        """Return the unit's state by name, as JSON can hold it."""
        return {
            "service": self.record.service.dump(),
            "record": self.record.dump(),
            "probe_pid": self.probe_pid,
            "timers": self.timers,
            "times": self.times,
            "is_leaving": self.is_leaving,
        }

    @classmethod
    def restore(cls, fields: "dict[str, Any]") -> "Unit":
        """Return the unit that `dump` described, in this version or another one, without timers.

        Unknown fields are ignored; missing ones keep their defaults.
        """
        unit = cls(Service.restore(fields["service"]))
        unit.record = Record.restore(unit.record.service, fields["record"])
        unit.probe_pid = int(fields.get("probe_pid", 0))
        unit.times = {stage: float(at) for stage, at in fields.get("times", {}).items()}
        unit.is_leaving = bool(fields.get("is_leaving", False))
        unit.is_new = False
        return unit


def is_transient(error: Exception) -> bool:
    """Return whether a retry of a spawn may succeed: no process, memory or descriptor was free.

    Or the program was being written, as in an upgrade.
    """
    return isinstance(error, MemoryError) or getattr(error, "errno", 0) in TRANSIENT


def describe(error: Exception) -> str:
    """Return the reason of a failed spawn as text."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
