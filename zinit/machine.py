"""The life of one service as a table: `step(record, event, now) -> (record, actions)`.

Pure: no clock, no process, no file. The manager feeds events and carries actions out. Every pair
of phase and event is in `TABLE`: a handler, `ignore`, or absent, which means that the pair can't
happen and `step` raises `ImpossibleEventError`.

Phases:

    idle       no process and nothing planned; `shown` says how it ended
    blocked    wanted, waits for its dependencies
    spawning   its dependencies are met, the spawn is queued
    starting   the process is there, not yet known to be ready
    running    ready (a oneshot is here at once, but satisfies nobody until it ends well)
    stopping   told to stop, the process is still there
    paused     waits before it is started again

What each event does:

    event         idle      blocked   spawning  starting  running   stopping  paused
    start         schedule  ignore    ignore    ignore    ignore    want up   want up
    stop          down      -> idle   -> idle   signal    signal    down      -> idle
    unblocked     -         spawning  -         -         -         -         -
    spawned       -         -         starting  -         -         -         -
    spawn_failed  -         -         idle (1)  -         -         -         -
    ready         ignore    ignore    ignore    running   ignore    ignore    ignore
    probe_failed  ignore    ignore    ignore    again     ignore    ignore    ignore
    probe_broken  ignore    ignore    ignore    again     ignore    ignore    ignore
    probe_due     -         -         -         probe     -         -         -
    exited        -         -         -         ended     ended     ended     -
    restart_due   -         -         -         -         -         -         blocked (2)
    kill_due      -         -         -         -         -         SIGKILL   -

(1) paused instead, if the reason may pass (no memory, too many processes).
(2) or spawning, when it ended by itself: dependencies gate starts, not restarts.

Invariants: `target_up` is false after `stop` until the next `start`; nothing leaves `paused` or
`idle` for a process while it is false; a process is there exactly in starting, running, stopping.
"""

from zinit.config import PROBE_INTERVAL_S, RESTART_DELAY_S
from zinit.signals import SIGKILL, name_signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.config import Service

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
UNBLOCKED = "unblocked"
SPAWNED = "spawned"
SPAWN_FAILED = "spawn_failed"
READY = "ready"
PROBE_FAILED = "probe_failed"
PROBE_BROKEN = "probe_broken"
PROBE_DUE = "probe_due"
EXITED = "exited"
RESTART_DUE = "restart_due"
KILL_DUE = "kill_due"
EVENTS = (
    START, STOP, UNBLOCKED, SPAWNED, SPAWN_FAILED, READY, PROBE_FAILED, PROBE_BROKEN, PROBE_DUE,
    EXITED, RESTART_DUE, KILL_DUE,
)  # fmt: skip

LEFTOVER_CHECK_S = 2.0
# Without a test or a notification a service is ready when it has lived this long: what fails at
# once does not let its dependents start.
SETTLE_S = 0.002


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

    probe     run the probe; end_probe: kill it if it runs
    signal    send `number` to the service's process group
    arm       send the event `text` at `at`; disarm: forget all timers
    announce  dependents may start now
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
DISARM = Action("disarm")
ANNOUNCE = Action("announce")


class ImpossibleEventError(Exception):
    """An event that can't happen in this phase: a bug in the caller."""


class Record:
    """Where one service stands. Never changed in place: `step` returns a new one."""

    __slots__ = ("is_gated", "kills", "not_before", "phase", "pid", "service", "shown", "target_up")

    def __init__(self, service: "Service") -> None:
        self.service = service
        self.phase = IDLE
        self.shown = "Unknown"
        self.target_up = False
        self.pid = 0
        self.not_before = 0.0  # not started again before this time
        self.is_gated = False  # paused: dependencies are looked at before the next start
        self.kills = 0  # SIGKILLs sent since it was told to stop

    def copy(self) -> "Record":
        """Return a record that may be changed."""
        new = Record.__new__(Record)
        for name in Record.__slots__:
            setattr(new, name, getattr(self, name))
        return new

    @property
    def has_process(self) -> bool:
        """Whether the service's process is there."""
        return self.pid != 0

    @property
    def satisfies(self) -> bool:
        """Whether services that name this one in `after` may start."""
        if self.phase == RUNNING:
            return not self.service.oneshot
        return self.shown == "Success" and self.phase in (IDLE, PAUSED)

    @property
    def is_down(self) -> bool:
        """Whether shutdown need not wait for it: no process, or one that even SIGKILL left."""
        return self.pid == 0 or self.kills > 1


if TYPE_CHECKING:
    Step = tuple[Record, list[Action]]
    Handler = Callable[[Record, Event, float], Step]


def step(record: Record, event: Event, now: float) -> "Step":
    """Return the record after `event` and what to do; raises `ImpossibleEventError`."""
    handler = TABLE[record.phase].get(event.kind)
    if handler is None:
        raise ImpossibleEventError(f"{event.kind} in phase {record.phase}")
    return handler(record.copy(), event, now)


def ignore(record: Record, event: Event, now: float) -> "Step":
    """Nothing changes."""
    return record, []


def schedule(record: Record, event: Event, now: float) -> "Step":
    """Wanted now: wait for the dependencies, or first for the pause after its last end."""
    record.target_up = True
    if now < record.not_before:
        record.phase = PAUSED
        record.is_gated = True
        return record, [Action("arm", text=RESTART_DUE, at=record.not_before)]
    return block(record)


def block(record: Record) -> "Step":
    """Wait for the dependencies."""
    record.phase = BLOCKED
    record.shown = "Blocked"
    return record, [CHECK]


def want_up(record: Record, event: Event, now: float) -> "Step":
    """It comes back when it has ended."""
    record.target_up = True
    return record, []


def want_down(record: Record, event: Event, now: float) -> "Step":
    """It does not come back."""
    record.target_up = False
    return record, []


def rest(record: Record, event: Event, now: float) -> "Step":
    """There is no process to stop: forget the plan. `shown` stays."""
    record.target_up = False
    record.phase = IDLE
    return record, [DISARM]


def unblock(record: Record, event: Event, now: float) -> "Step":
    """The dependencies are met."""
    record.phase = SPAWNING
    return record, [SPAWN]


def begin(record: Record, event: Event, now: float) -> "Step":
    """The process is there: find out when it is ready."""
    record.pid = event.number
    record.kills = 0
    service = record.service
    if service.oneshot:
        record.phase = RUNNING
        record.shown = "Running"
        return record, []
    record.phase = STARTING
    record.shown = "Spawned"
    if service.test:
        return record, [PROBE]
    if service.ready:
        return record, []
    return record, [Action("arm", text=READY, at=now + SETTLE_S)]


def fail(record: Record, event: Event, now: float) -> "Step":
    """It could not be spawned: try again only if that may help."""
    record.shown = "Failure"
    report = Action("report", text=f"cannot start: {event.text}")
    if event.is_transient:
        record.phase = PAUSED
        record.is_gated = False
        return record, [report, Action("arm", text=RESTART_DUE, at=now + RESTART_DELAY_S)]
    record.phase = IDLE
    return record, [report]


def run(record: Record, event: Event, now: float) -> "Step":
    """It is ready: dependents may start."""
    record.phase = RUNNING
    record.shown = "Running"
    return record, [DISARM, END_PROBE, ANNOUNCE]


def probe_again(record: Record, event: Event, now: float) -> "Step":
    """Not ready yet."""
    record.shown = "TestFailure" if event.kind == PROBE_BROKEN else "Spawned"
    return record, [Action("arm", text=PROBE_DUE, at=now + PROBE_INTERVAL_S)]


def probe(record: Record, event: Event, now: float) -> "Step":
    """Ask the service again."""
    return record, [PROBE]


def stop(record: Record, event: Event, now: float) -> "Step":
    """Tell it to stop; if it does not, SIGKILL follows."""
    record.target_up = False
    record.phase = STOPPING
    service = record.service
    due = Action("arm", text=KILL_DUE, at=now + service.shutdown_timeout_s)
    return record, [DISARM, END_PROBE, Action("signal", service.stop_signal), due]


def kill(record: Record, event: Event, now: float) -> "Step":
    """It did not stop in time."""
    record.kills += 1
    text = "did not stop in time: SIGKILL" if record.kills == 1 else "is there even after SIGKILL"
    due = Action("arm", text=KILL_DUE, at=now + LEFTOVER_CHECK_S * record.kills)
    return record, [Action("report", text=text), Action("signal", SIGKILL), due]


def end(record: Record, event: Event, now: float) -> "Step":
    """The process is gone."""
    record.shown = describe_status(record.pid, event.number)
    was_stopping = record.phase == STOPPING
    record.pid = 0
    record.kills = 0
    actions = [DISARM, END_PROBE]
    if record.service.oneshot:
        record.phase = IDLE
        if record.target_up and was_stopping:
            again, more = block(record)
            return again, actions + more
        return record, [*actions, ANNOUNCE]
    record.not_before = now + RESTART_DELAY_S
    record.phase = PAUSED if record.target_up else IDLE
    record.is_gated = was_stopping
    if record.target_up:
        actions.append(Action("arm", text=RESTART_DUE, at=record.not_before))
    return record, [*actions, ANNOUNCE]


def restart(record: Record, event: Event, now: float) -> "Step":
    """The pause is over."""
    if record.is_gated:
        return block(record)
    record.phase = SPAWNING
    return record, [SPAWN]


def describe_status(pid: int, status: int) -> str:
    """Return the shown state for a wait status (as waitpid gives it), in upstream's words."""
    number = status & 0x7F
    if number:
        core = "true" if status & 0x80 else "false"
        return f"Error(Signaled(Pid({pid}), {name_signal(number)}, {core}))"
    code = status >> 8
    return f"Error(Exited(Pid({pid}), {code}))" if code else "Success"


LATE: "dict[str, Handler]" = {READY: ignore, PROBE_FAILED: ignore, PROBE_BROKEN: ignore}
TABLE: "dict[str, dict[str, Handler]]" = {
    IDLE: {START: schedule, STOP: want_down, **LATE},
    BLOCKED: {START: ignore, STOP: rest, UNBLOCKED: unblock, **LATE},
    SPAWNING: {START: ignore, STOP: rest, SPAWNED: begin, SPAWN_FAILED: fail, **LATE},
    STARTING: {
        START: ignore,
        STOP: stop,
        READY: run,
        PROBE_FAILED: probe_again,
        PROBE_BROKEN: probe_again,
        PROBE_DUE: probe,
        EXITED: end,
    },
    RUNNING: {START: ignore, STOP: stop, EXITED: end, **LATE},
    STOPPING: {START: want_up, STOP: want_down, EXITED: end, KILL_DUE: kill, **LATE},
    PAUSED: {START: want_up, STOP: rest, RESTART_DUE: restart, **LATE},
}
