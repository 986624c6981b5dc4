"""What the manager keeps of a service, and what it hands to the system and to its callers."""

from zinit.life.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.service import Service

TRANSIENT = (11, 12, 23, 24)  # EAGAIN, ENOMEM, ENFILE, EMFILE
MAIN = "main"
PROBE = "probe"
TASK = "task"


class CommandError(Exception):
    """A command that is refused; `kind` is for callers that want more than upstream's text."""

    def __init__(self, kind: str, text: str, value: str = "") -> None:
        super().__init__(text)
        self.kind = kind
        self.value = value  # what was refused, where the text does not hold it


class Launch:
    """What to spawn for a service."""

    __slots__ = ("command", "kind", "label", "service")

    def __init__(self, service: "Service", kind: str, label: str, command: str) -> None:
        self.service = service
        self.kind = kind  # MAIN, PROBE or TASK
        self.label = label  # the name its log lines carry
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
        self.timers: dict[str, float] = {}
        self.unmet: set[str] = set()
        self.is_new = True  # was never told to start
        self.is_queued = False  # for a spawn
        self.is_leaving = False  # its file is gone: forgotten when it is down
        self.times: dict[str, float] = {}  # stage -> when it was reached first

    @property
    def name(self) -> str:
        """The service's name."""
        return self.record.service.name


def is_transient(error: Exception) -> bool:
    """Tell whether a spawn may work later: out of processes, memory or descriptors."""
    return isinstance(error, MemoryError) or getattr(error, "errno", 0) in TRANSIENT


def describe(error: Exception) -> str:
    """Return what a person wants to know of a failed spawn."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__
