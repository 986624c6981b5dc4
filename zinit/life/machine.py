"""The life of one service as a table: `step(record, event, now) -> (record, actions)`.

The machine has no clock, no processes and no files. The manager feeds it events and carries its
actions out. `TABLE` has a cell for each pair of phase and event: the handler, and the phases in
which it may leave the service. A pair without a cell cannot happen; `step` raises
`ImpossibleEventError`.

Phases:

    idle       no process and no start planned; `record.outcome` says how the last one ended
    blocked    wanted, waiting for dependencies
    spawning   the dependencies are met, the spawn is queued
    starting   the process exists, but is not known to be ready
    running    ready (a oneshot is here at once, but satisfies no dependent until it succeeds)
    stopping   told to stop, the process or others of its group still exist
    paused     waiting before the next start

The handlers in `steps`:

    event         idle       blocked      spawning     starting     running    stopping   paused
    start         schedule   ignore       ignore       ignore       ignore     want_up    want_up
    stop          want_down  rest         rest         stop         stop       want_down  rest
    lost          ignore     ignore       block_again  lose         lose       ignore     gate
    changed       retry      block_again  block_again  renew        renew      ignore     gate
    unblocked     -          unblock      -            -            -          -          -
    spawned       -          -            begin        -            -          -          -
    spawn_failed  -          -            fail         -            -          -          -
    ready         ignore     ignore       ignore       run          ignore     ignore     ignore
    start_late    -          -            -            give_up      give_up    -          -
    probe_due     -          -            -            probe        probe      -          -
    probe_late    -          -            -            probe_again  note_miss  -          -
    probe_passed  ignore     ignore       ignore       run          note_good  ignore     ignore
    probe_failed  ignore     ignore       ignore       probe_again  note_miss  ignore     ignore
    probe_broken  ignore     ignore       ignore       probe_again  note_miss  ignore     ignore
    ping          ignore     ignore       ignore       ignore       rewind     ignore     ignore
    ping_late     -          -            -            ignore       abort      -          -
    left          -          -            -            linger       linger     linger     -
    look_due      -          -            -            -            -          look       -
    exited        -          -            -            end          end        end        -
    restart_due   -          -            -            -            -          -          restart
    kill_due      -          -            -            -            -          kill       -

Where they lead; those that are not listed stay in the phase:

    schedule     idle      -> blocked, paused
    retry        idle      -> idle, blocked, paused
    rest         blocked   -> idle
    unblock      blocked   -> spawning
    rest         spawning  -> idle
    block_again  spawning  -> blocked
    begin        spawning  -> starting, running
    fail         spawning  -> idle, paused
    stop         starting  -> stopping
    lose         starting  -> stopping
    renew        starting  -> stopping
    run          starting  -> running
    give_up      starting  -> stopping
    probe        starting  -> starting, running
    linger       starting  -> idle, paused, stopping
    end          starting  -> idle, paused
    stop         running   -> stopping
    lose         running   -> stopping
    renew        running   -> stopping
    give_up      running   -> stopping
    note_miss    running   -> running, stopping
    abort        running   -> stopping
    linger       running   -> idle, paused, stopping
    end          running   -> idle, paused
    end          stopping  -> idle, blocked, paused
    rest         paused    -> idle
    restart      paused    -> blocked, spawning

The process group of a service ends before the service does: `left` comes when the main process has
ended and others of its group have not, and `exited` when all have.

Invariants: `target_up` is false from `stop` until the next `start`, and while it is false nothing
leads from `paused` or `idle` to a process; a process exists exactly in starting, running and
stopping.
"""

from zinit.life import record as r
from zinit.life import steps
from zinit.life.record import Event, ImpossibleEventError, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.life.steps import Step

    Handler = Callable[[Record, Event, float], Step]
    Cell = tuple[Handler, tuple[str, ...]]


def step(record: Record, event: Event, now: float) -> "Step":
    """Return the record after `event` and what to do; raises `ImpossibleEventError`."""
    cell = TABLE[record.phase].get(event.kind)
    if cell is None:
        raise ImpossibleEventError(f"{event.kind} in phase {record.phase}")
    handler, phases = cell
    after, actions = handler(record.copy(), event, now)
    assert after.phase in phases, f"{event.kind}: from {record.phase} to {after.phase}"
    return after, actions


def ignore(phase: str, *events: str) -> "dict[str, Cell]":
    """Return cells for events that change nothing in `phase`."""
    return dict.fromkeys(events, (steps.ignore, (phase,)))


LATE = (r.READY, r.PROBE_PASSED, r.PROBE_FAILED, r.PROBE_BROKEN, r.PING)
TABLE: "dict[str, dict[str, Cell]]" = {
    r.IDLE: {
        r.START: (steps.schedule, (r.BLOCKED, r.PAUSED)),
        r.STOP: (steps.want_down, (r.IDLE,)),
        r.CHANGED: (steps.retry, (r.IDLE, r.BLOCKED, r.PAUSED)),
        **ignore(r.IDLE, r.LOST, *LATE),
    },
    r.BLOCKED: {
        r.STOP: (steps.rest, (r.IDLE,)),
        r.CHANGED: (steps.block_again, (r.BLOCKED,)),
        r.UNBLOCKED: (steps.unblock, (r.SPAWNING,)),
        **ignore(r.BLOCKED, r.START, r.LOST, *LATE),
    },
    r.SPAWNING: {
        r.STOP: (steps.rest, (r.IDLE,)),
        r.LOST: (steps.block_again, (r.BLOCKED,)),
        r.CHANGED: (steps.block_again, (r.BLOCKED,)),
        r.SPAWNED: (steps.begin, (r.STARTING, r.RUNNING)),
        r.SPAWN_FAILED: (steps.fail, (r.IDLE, r.PAUSED)),
        **ignore(r.SPAWNING, r.START, *LATE),
    },
    r.STARTING: {
        r.STOP: (steps.stop, (r.STOPPING,)),
        r.LOST: (steps.lose, (r.STOPPING,)),
        r.CHANGED: (steps.renew, (r.STOPPING,)),
        r.READY: (steps.run, (r.RUNNING,)),
        r.START_LATE: (steps.give_up, (r.STOPPING,)),
        r.PROBE_DUE: (steps.probe, (r.STARTING, r.RUNNING)),
        r.PROBE_LATE: (steps.probe_again, (r.STARTING,)),
        r.PROBE_PASSED: (steps.run, (r.RUNNING,)),
        r.PROBE_FAILED: (steps.probe_again, (r.STARTING,)),
        r.PROBE_BROKEN: (steps.probe_again, (r.STARTING,)),
        r.LEFT: (steps.linger, (r.IDLE, r.PAUSED, r.STOPPING)),
        r.EXITED: (steps.end, (r.IDLE, r.PAUSED)),
        **ignore(r.STARTING, r.START, r.PING, r.PING_LATE),
    },
    r.RUNNING: {
        r.STOP: (steps.stop, (r.STOPPING,)),
        r.LOST: (steps.lose, (r.STOPPING,)),
        r.CHANGED: (steps.renew, (r.STOPPING,)),
        r.START_LATE: (steps.give_up, (r.STOPPING,)),
        r.PROBE_DUE: (steps.probe, (r.RUNNING,)),
        r.PROBE_LATE: (steps.note_miss, (r.RUNNING, r.STOPPING)),
        r.PROBE_PASSED: (steps.note_good, (r.RUNNING,)),
        r.PROBE_FAILED: (steps.note_miss, (r.RUNNING, r.STOPPING)),
        r.PROBE_BROKEN: (steps.note_miss, (r.RUNNING, r.STOPPING)),
        r.PING: (steps.rewind, (r.RUNNING,)),
        r.PING_LATE: (steps.abort, (r.STOPPING,)),
        r.LEFT: (steps.linger, (r.IDLE, r.PAUSED, r.STOPPING)),
        r.EXITED: (steps.end, (r.IDLE, r.PAUSED)),
        **ignore(r.RUNNING, r.START, r.READY),
    },
    r.STOPPING: {
        r.START: (steps.want_up, (r.STOPPING,)),
        r.STOP: (steps.want_down, (r.STOPPING,)),
        r.LEFT: (steps.linger, (r.STOPPING,)),
        r.LOOK_DUE: (steps.look, (r.STOPPING,)),
        r.EXITED: (steps.end, (r.IDLE, r.BLOCKED, r.PAUSED)),
        r.KILL_DUE: (steps.kill, (r.STOPPING,)),
        **ignore(r.STOPPING, r.LOST, r.CHANGED, *LATE),
    },
    r.PAUSED: {
        r.START: (steps.want_up, (r.PAUSED,)),
        r.STOP: (steps.rest, (r.IDLE,)),
        r.LOST: (steps.gate, (r.PAUSED,)),
        r.CHANGED: (steps.gate, (r.PAUSED,)),
        r.RESTART_DUE: (steps.restart, (r.BLOCKED, r.SPAWNING)),
        **ignore(r.PAUSED, *LATE),
    },
}
