"""What the state machine works on: phases, events, actions, and the record of one service."""

from zinit.life.outcome import RUNNING as RUN_OUTCOME
from zinit.life.outcome import SUCCEEDED, UNKNOWN, Outcome, parse_outcome

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
LEFT = "left"
LOOK_DUE = "look_due"
EXITED = "exited"
RESTART_DUE = "restart_due"
KILL_DUE = "kill_due"
EVENTS = (
    START, STOP, LOST, CHANGED, UNBLOCKED, SPAWNED, SPAWN_FAILED, READY, START_LATE, PROBE_DUE,
    PROBE_LATE, PROBE_PASSED, PROBE_FAILED, PROBE_BROKEN, PING, PING_LATE, LEFT, LOOK_DUE, EXITED,
    RESTART_DUE, KILL_DUE,
)  # fmt: skip


class Event:
    """Something that happened to a service."""

    __slots__ = ("is_transient", "kind", "number", "text")

    def __init__(
        self, kind: str, number: int = 0, text: str = "", is_transient: bool = False
    ) -> None:
        self.kind = kind
        self.number = number  # spawned: the pid; left, exited: the wait status
        self.text = text  # lost: the name of the dependency; spawn_failed, probe_broken: a reason
        self.is_transient = is_transient  # spawn_failed: a retry may succeed


class Action:
    """What the manager has to do after an event.

    check      send `unblocked` if the dependencies are met
    spawn      queue the spawn of the service
    probe      queue the service's test (once it is running, its liveness test)
    end_probe  kill the test
    signal     send the signal `number` to the service's process group
    look       send `exited` if nothing is left of the service's process group
    sweep      kill what is left in the service's control group, if its file wants that
    arm        send the event `text` at time `at`; replaces an earlier timer for it
    drop       cancel the timer for the event `text`
    disarm     cancel all timers
    announce   tell the dependents that the service's state changed
    report     write `text` to the console and to the service's log
    refuse     likewise; the service cannot be started, as `text` says
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
LOOK = Action("look")
SWEEP = Action("sweep")
DISARM = Action("disarm")
ANNOUNCE = Action("announce")


class ImpossibleEventError(Exception):
    """An event that cannot happen in the service's phase: a bug in the caller."""


class Record:
    """The state of one service. Records are never changed in place: `step` returns a new one."""

    def __init__(self, service: "Service") -> None:
        self.service = service
        self.phase = IDLE
        self.outcome = Outcome(UNKNOWN)
        self.target_up = False
        self.pid = 0
        self.not_before = 0.0  # the earliest time of the next start
        self.is_gated = False  # paused: check the dependencies before the next start
        self.ended = -1  # the wait status of the main process, if only others of its group run
        self.is_unasked = False  # the main process ended by itself; the others are being stopped
        self.kills = 0  # SIGKILLs sent during this stop
        self.misses = 0  # failed liveness tests in a row
        self.fault = ""  # why zinit stops the service although it is wanted
        self.reason = ""  # why the service is not up as it should be, for clients
        self.started_at = 0.0
        self.restarts: tuple[float, ...] = ()  # times of recent restarts, if they are limited
        self.delay_s = 0.0  # the last pause before a restart

    def copy(self) -> "Record":
        """Return a record that the caller may change."""
        new = Record.__new__(Record)
        new.__dict__.update(self.__dict__)
        return new

    def dump(self) -> "dict[str, object]":
        """Return everything but the service by name, as JSON can hold it."""
        fields = dict(self.__dict__)
        del fields["service"], fields["outcome"]
        return {**fields, "shown": str(self.outcome)}

    @classmethod
    def restore(cls, service: "Service", fields: "dict[str, object]") -> "Record":
        """Return the record that `dump` described, in this version or another one.

        Unknown fields are ignored; missing ones keep their defaults.
        """
        record = cls(service)
        for name in record.__dict__.keys() - {"service", "outcome"}:
            setattr(record, name, fields.get(name, getattr(record, name)))
        record.restarts = tuple(record.restarts)  # JSON made it a list
        record.outcome = parse_outcome(str(fields.get("shown", record.outcome)))
        return record

    def take_in(self, pid: int, is_up: bool, now: float) -> None:
        """Note a process of which nothing else is known; this record is new."""
        self.phase = RUNNING
        self.outcome = Outcome(RUN_OUTCOME)
        self.pid, self.target_up, self.started_at = pid, is_up, now

    @property
    def has_process(self) -> bool:
        """Whether the service's process, or another one of its group, exists."""
        return self.pid != 0

    @property
    def satisfies(self) -> bool:
        """Whether services that name this one in `after` or `requires` may start."""
        if self.phase == RUNNING:
            return not self.service.oneshot
        return self.outcome.kind == SUCCEEDED and self.phase in (IDLE, PAUSED)

    @property
    def is_settled(self) -> bool:
        """Whether services that name this one in `wants` may start."""
        return self.satisfies or self.phase in (IDLE, PAUSED)

    @property
    def is_lost(self) -> bool:
        """Whether services that name this one in `requires` must stop: it does not come back."""
        if self.phase == STOPPING:
            return not self.is_unasked  # whether it comes back is decided when it has ended
        return not self.satisfies and self.phase in (IDLE, BLOCKED)

    @property
    def is_down(self) -> bool:
        """Whether a shutdown may go on: there is no process, or one that survived SIGKILL."""
        return self.pid == 0 or self.kills > 1
