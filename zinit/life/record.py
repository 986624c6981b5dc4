"""What the machine works on: phases, events, actions, and the record of one service. No I/O."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.service import Service

IDLE = "idle"
BLOCKED = "blocked"
SPAWNING = "spawning"
STARTING = "starting"
RUNNING = "running"
STOPPING = "stopping"
PAUSED = "paused"
PHASES = (IDLE, BLOCKED, SPAWNING, STARTING, RUNNING, STOPPING, PAUSED)

START = "start"
STOP = "stop"
LOST = "lost"
CHANGED = "changed"
UNBLOCKED = "unblocked"
SPAWNED = "spawned"
SPAWN_FAILED = "spawn_failed"
READY = "ready"
START_LATE = "start_late"
PROBE_DUE = "probe_due"
PROBE_LATE = "probe_late"
PROBE_PASSED = "probe_passed"
PROBE_FAILED = "probe_failed"
PROBE_BROKEN = "probe_broken"
PING = "ping"
PING_LATE = "ping_late"
EXITED = "exited"
RESTART_DUE = "restart_due"
KILL_DUE = "kill_due"
EVENTS = (
    START, STOP, LOST, CHANGED, UNBLOCKED, SPAWNED, SPAWN_FAILED, READY, START_LATE, PROBE_DUE,
    PROBE_LATE, PROBE_PASSED, PROBE_FAILED, PROBE_BROKEN, PING, PING_LATE, EXITED, RESTART_DUE,
    KILL_DUE,
)  # fmt: skip


class Event:
    """What happened: `number` is a pid (spawned) or a wait status (exited), `text` a reason."""

    __slots__ = ("is_transient", "kind", "number", "text")

    def __init__(
        self, kind: str, number: int = 0, text: str = "", is_transient: bool = False
    ) -> None:
        self.kind = kind
        self.number = number
        self.text = text
        self.is_transient = is_transient  # spawn_failed: may work later


class Action:
    """What the manager is to do.

    check     look whether the dependencies are met (and send `unblocked`)
    spawn     queue the spawn of the service
    probe     run the service's test (its liveness test once it runs); end_probe: kill that
    signal    send `number` to the service's processes
    sweep     end what the service left behind, if its file wants that
    arm       send the event `text` at `at`, instead of when it was to be sent before
    drop      forget the timer `text`; disarm: forget all timers
    announce  dependents may start now, or lost what they require: look at the record
    report    tell `text`
    """

    __slots__ = ("at", "kind", "number", "text")

    def __init__(self, kind: str, number: int = 0, text: str = "", at: float = 0.0) -> None:
        self.kind = kind
        self.number = number
        self.text = text
        self.at = at


CHECK = Action("check")
SPAWN = Action("spawn")
PROBE = Action("probe")
END_PROBE = Action("end_probe")
SWEEP = Action("sweep")
DISARM = Action("disarm")
ANNOUNCE = Action("announce")


class ImpossibleEventError(Exception):
    """An event that can't happen in this phase: a bug in the caller."""


class Record:
    """Where one service stands. Never changed in place: `step` returns a new one."""

    def __init__(self, service: "Service") -> None:
        self.service = service
        self.phase = IDLE
        self.shown = "Unknown"
        self.target_up = False
        self.pid = 0
        self.not_before = 0.0  # not started again before this time
        self.is_gated = False  # paused: dependencies are looked at before the next start
        self.kills = 0  # SIGKILLs sent since it was told to stop
        self.misses = 0  # failed liveness tests in a row
        self.fault = ""  # why we made it stop although it is wanted
        self.started_at = 0.0
        self.restarts: tuple[float, ...] = ()  # recent ones, if their number is limited
        self.delay_s = 0.0  # the last pause before a restart

    def copy(self) -> "Record":
        """Return a record that may be changed."""
        new = Record.__new__(Record)
        new.__dict__.update(self.__dict__)
        return new

    @property
    def has_process(self) -> bool:
        """Whether the service's process is there."""
        return self.pid != 0

    @property
    def satisfies(self) -> bool:
        """Whether services that name this one in `after` or `requires` may start."""
        if self.phase == RUNNING:
            return not self.service.oneshot
        return self.shown == "Success" and self.phase in (IDLE, PAUSED)

    @property
    def is_settled(self) -> bool:
        """Whether services that name this one in `wants` may start."""
        return self.satisfies or self.phase in (IDLE, PAUSED)

    @property
    def is_lost(self) -> bool:
        """Whether services that name this one in `requires` must stop: it does not come back."""
        return not self.satisfies and self.phase in (IDLE, BLOCKED, STOPPING)

    @property
    def is_down(self) -> bool:
        """Whether shutdown need not wait for it: no process, or one that even SIGKILL left."""
        return self.pid == 0 or self.kills > 1
