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

What each event does (a phase's name: it goes there):

    event         idle      blocked   spawning  starting  running   stopping  paused
    start         schedule  ignore    ignore    ignore    ignore    up        up
    stop          down      idle      idle      stopping  stopping  down      idle
    lost          ignore    ignore    blocked   stopping  stopping  ignore    gate
    changed       ignore    blocked   blocked   stopping  stopping  ignore    gate
    unblocked     -         spawning  -         -         -         -         -
    spawned       -         -         starting  -         -         -         -
    spawn_failed  -         -         idle (1)  -         -         -         -
    ready         ignore    ignore    ignore    running   ignore    ignore    ignore
    start_late    -         -         -         stopping  stopping  -         -
    probe_due     -         -         -         probe     probe     -         -
    probe_late    -         -         -         again     miss      -         -
    probe_passed  ignore    ignore    ignore    running   good      ignore    ignore
    probe_failed  ignore    ignore    ignore    again     miss      ignore    ignore
    probe_broken  ignore    ignore    ignore    again     miss      ignore    ignore
    ping          ignore    ignore    ignore    rewind    rewind    ignore    ignore
    ping_late     -         -         -         abort     abort     -         -
    exited        -         -         -         ended     ended     ended     -
    restart_due   -         -         -         -         -         -         blocked (2)
    kill_due      -         -         -         -         -         SIGKILL   -

(1) paused instead, if the reason may pass (no memory, too many processes).
(2) or spawning, when it ended by itself: dependencies gate starts, not restarts.

An end goes to idle, to paused, or (a oneshot that is wanted again) to blocked; `restart` in the
service file decides, and more ends than its limit allows are shown as Crashed.

Invariants: `target_up` is false after `stop` until the next `start`; nothing leaves `paused` or
`idle` for a process while it is false; a process is there exactly in starting, running, stopping.
"""

from zinit.life import record as r
from zinit.life import steps
from zinit.life.record import Event, ImpossibleEventError, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.life.steps import Step

    Handler = Callable[[Record, Event, float], Step]


def step(record: Record, event: Event, now: float) -> "Step":
    """Return the record after `event` and what to do; raises `ImpossibleEventError`."""
    handler = TABLE[record.phase].get(event.kind)
    if handler is None:
        raise ImpossibleEventError(f"{event.kind} in phase {record.phase}")
    return handler(record.copy(), event, now)


LATE: "dict[str, Handler]" = dict.fromkeys(
    (r.READY, r.PROBE_PASSED, r.PROBE_FAILED, r.PROBE_BROKEN, r.PING), steps.ignore
)
TABLE: "dict[str, dict[str, Handler]]" = {
    r.IDLE: {
        r.START: steps.schedule,
        r.STOP: steps.want_down,
        r.LOST: steps.ignore,
        r.CHANGED: steps.ignore,
        **LATE,
    },
    r.BLOCKED: {
        r.START: steps.ignore,
        r.STOP: steps.rest,
        r.LOST: steps.ignore,
        r.CHANGED: steps.block_again,
        r.UNBLOCKED: steps.unblock,
        **LATE,
    },
    r.SPAWNING: {
        r.START: steps.ignore,
        r.STOP: steps.rest,
        r.LOST: steps.block_again,
        r.CHANGED: steps.block_again,
        r.SPAWNED: steps.begin,
        r.SPAWN_FAILED: steps.fail,
        **LATE,
    },
    r.STARTING: {
        r.START: steps.ignore,
        r.STOP: steps.stop,
        r.LOST: steps.lose,
        r.CHANGED: steps.renew,
        r.READY: steps.run,
        r.START_LATE: steps.give_up_start,
        r.PROBE_DUE: steps.probe,
        r.PROBE_LATE: steps.probe_again,
        r.PROBE_PASSED: steps.run,
        r.PROBE_FAILED: steps.probe_again,
        r.PROBE_BROKEN: steps.probe_again,
        r.PING: steps.rewind,
        r.PING_LATE: steps.abort,
        r.EXITED: steps.end,
    },
    r.RUNNING: {
        r.START: steps.ignore,
        r.STOP: steps.stop,
        r.LOST: steps.lose,
        r.CHANGED: steps.renew,
        r.READY: steps.ignore,
        r.START_LATE: steps.give_up_start,
        r.PROBE_DUE: steps.probe,
        r.PROBE_LATE: steps.note_miss,
        r.PROBE_PASSED: steps.note_good,
        r.PROBE_FAILED: steps.note_miss,
        r.PROBE_BROKEN: steps.note_miss,
        r.PING: steps.rewind,
        r.PING_LATE: steps.abort,
        r.EXITED: steps.end,
    },
    r.STOPPING: {
        r.START: steps.want_up,
        r.STOP: steps.want_down,
        r.LOST: steps.ignore,
        r.CHANGED: steps.ignore,
        r.EXITED: steps.end,
        r.KILL_DUE: steps.kill,
        **LATE,
    },
    r.PAUSED: {
        r.START: steps.want_up,
        r.STOP: steps.rest,
        r.LOST: steps.gate,
        r.CHANGED: steps.gate,
        r.RESTART_DUE: steps.restart,
        **LATE,
    },
}
