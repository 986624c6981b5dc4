"""What each event does to a service: the handlers of `machine.TABLE`.

A handler gets its own copy of the record, changes it, and returns it with the actions to carry
out. No I/O and no clock, like everything of the machine.
"""

from zinit.files.service import ALWAYS, ON_FAILURE
from zinit.files.signals import SIGABRT, SIGCONT, SIGKILL, name_signal
from zinit.life import record as r
from zinit.life.record import Action, Event, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from zinit.files.service import Service

    Step = tuple[Record, list[Action]]

LEFTOVER_CHECK_S = 2.0
# Without a test or a notification a service is ready when it has lived this long: what fails at
# once does not let its dependents start.
SETTLE_S = 0.002
SPAWN_RETRY_S = 2.0
START_PAUSE_S = 2.0  # the longest time from an end to a start that somebody asks for
FORGET_LATE = Action("drop", text=r.PROBE_LATE)


def arm(kind: str, at: float) -> Action:
    """Return the action that sends the event `kind` at `at`."""
    return Action("arm", text=kind, at=at)


def report(text: str) -> Action:
    """Return the action that tells people something."""
    return Action("report", text=text)


def ignore(record: Record, event: Event, now: float) -> "Step":
    """Nothing changes."""
    return record, []


# No process


def schedule(record: Record, event: Event, now: float) -> "Step":
    """Wanted now: wait for the dependencies, or first for the pause after its last end."""
    record.target_up = True
    forget_failures(record)
    if now < record.not_before:
        record.phase = r.PAUSED
        record.is_gated = True
        return record, [arm(r.RESTART_DUE, record.not_before)]
    return block(record)


def forget_failures(record: Record) -> None:
    """Reset what limits and delays automatic restarts: a command stops or starts the service."""
    record.restarts = ()
    record.delay_s = 0.0


def block(record: Record) -> "Step":
    """Wait for the dependencies."""
    record.phase = r.BLOCKED
    record.shown = "Blocked"
    return record, [r.CHECK]


def block_again(record: Record, event: Event, now: float) -> "Step":
    """A dependency went away before the spawn, or the service file changed."""
    return block(record)


def gate(record: Record, event: Event, now: float) -> "Step":
    """A dependency went away in the pause, or the service file changed."""
    record.is_gated = True
    return record, []


def want_up(record: Record, event: Event, now: float) -> "Step":
    """It comes back when it has ended."""
    record.target_up = True
    return record, []


def want_down(record: Record, event: Event, now: float) -> "Step":
    """It does not come back."""
    record.target_up = False
    record.fault = ""
    forget_failures(record)
    return record, []


def rest(record: Record, event: Event, now: float) -> "Step":
    """There is no process to stop: forget the plan. `shown` stays."""
    record.target_up = False
    record.phase = r.IDLE
    return record, [r.DISARM, r.ANNOUNCE]


def unblock(record: Record, event: Event, now: float) -> "Step":
    """The dependencies are met."""
    record.phase = r.SPAWNING
    return record, [r.SPAWN]


def restart(record: Record, event: Event, now: float) -> "Step":
    """The pause is over."""
    if record.is_gated:
        return block(record)
    record.phase = r.SPAWNING
    return record, [r.SPAWN]


# From spawn to ready


def begin(record: Record, event: Event, now: float) -> "Step":
    """The process is there: find out when it is ready."""
    record.pid = event.number
    record.started_at = now
    record.kills = record.misses = 0
    record.fault = ""
    service = record.service
    actions = []
    if service.start_timeout_s:
        actions.append(arm(r.START_LATE, now + service.start_timeout_s))
    if service.oneshot:
        record.phase = r.RUNNING
        record.shown = "Running"
        return record, actions
    record.phase = r.STARTING
    record.shown = "Spawned"
    if service.watchdog_s:
        actions.append(arm(r.PING_LATE, now + service.watchdog_s))
    if service.test:
        actions += probe_actions(service.probe_timeout_s, now)
    elif not service.ready:
        actions.append(arm(r.READY, now + SETTLE_S))
    return record, actions


def fail(record: Record, event: Event, now: float) -> "Step":
    """It could not be spawned: try again only if that may help."""
    record.shown = "Failure"
    told = report(f"cannot start: {event.text}")
    if event.is_transient:
        record.phase = r.PAUSED
        record.is_gated = False
        return record, [told, arm(r.RESTART_DUE, now + SPAWN_RETRY_S)]
    record.phase = r.IDLE
    return record, [told, r.ANNOUNCE]


def run(record: Record, event: Event, now: float) -> "Step":
    """It is ready: dependents may start."""
    record.phase = r.RUNNING
    record.shown = "Running"
    service = record.service
    actions = [r.DISARM, r.END_PROBE]
    if service.liveness:
        actions.append(arm(r.PROBE_DUE, now + service.liveness_interval_s))
    if service.watchdog_s:
        actions.append(arm(r.PING_LATE, now + service.watchdog_s))
    return record, [*actions, r.ANNOUNCE]


def give_up_start(record: Record, event: Event, now: float) -> "Step":
    """It was not ready in time (a oneshot: not through): end it, and treat that as a failure."""
    limit_s = record.service.start_timeout_s
    return make_stop(record, now, f"was not ready within {limit_s:g} s")


# Probes and the watchdog


def probe(record: Record, event: Event, now: float) -> "Step":
    """Run the test that this phase wants, with its time limit; a reload may have ended that."""
    service = record.service
    if record.phase == r.RUNNING:
        return record, probe_actions(service.liveness_timeout_s, now) if service.liveness else []
    if not service.test:
        return (record, []) if service.ready else run(record, event, now)
    return record, probe_actions(service.probe_timeout_s, now)


def probe_actions(limit_s: float, now: float) -> list[Action]:
    """Return what runs a test with a time limit (0: none)."""
    return [r.PROBE, arm(r.PROBE_LATE, now + limit_s)] if limit_s else [r.PROBE]


def probe_again(record: Record, event: Event, now: float) -> "Step":
    """Not ready yet."""
    record.shown = "TestFailure" if event.kind == r.PROBE_BROKEN else "Spawned"
    due = arm(r.PROBE_DUE, now + record.service.probe_interval_s)
    return record, [r.END_PROBE, FORGET_LATE, due]


def note_good(record: Record, event: Event, now: float) -> "Step":
    """It lives."""
    record.misses = 0
    return record, [FORGET_LATE, arm(r.PROBE_DUE, now + record.service.liveness_interval_s)]


def note_miss(record: Record, event: Event, now: float) -> "Step":
    """It did not pass its liveness test; too often in a row is a failure."""
    if not record.service.liveness:  # a reload took that away while it ran
        return record, [r.END_PROBE, FORGET_LATE]
    record.misses += 1
    if record.misses >= record.service.liveness_misses:
        return make_stop(record, now, f"failed its liveness test {record.misses} times")
    due = arm(r.PROBE_DUE, now + record.service.liveness_interval_s)
    return record, [r.END_PROBE, FORGET_LATE, due]


def rewind(record: Record, event: Event, now: float) -> "Step":
    """It told the watchdog that it lives."""
    if not record.service.watchdog_s:
        return record, []
    return record, [arm(r.PING_LATE, now + record.service.watchdog_s)]


def abort(record: Record, event: Event, now: float) -> "Step":
    """It did not tell the watchdog in time: SIGABRT, so that it may leave a core."""
    fault = f"told its watchdog nothing for {record.service.watchdog_s:g} s"
    return make_stop(record, now, fault, SIGABRT)


# From stop to the end


def stop(record: Record, event: Event, now: float) -> "Step":
    """Tell it to stop; if it does not, SIGKILL follows."""
    record.target_up = False
    forget_failures(record)
    return send_stop(record, now, record.service.stop_signal)


def lose(record: Record, event: Event, now: float) -> "Step":
    """What it requires is gone: stop, and wait for that to come back."""
    record, actions = send_stop(record, now, record.service.stop_signal)
    return record, [report(f"stops, because {event.text} is gone"), *actions]


def renew(record: Record, event: Event, now: float) -> "Step":
    """Its service file changed: stop, and come back as the new one says."""
    record, actions = send_stop(record, now, record.service.stop_signal)
    return record, [report("is restarted with its new service file"), *actions]


def make_stop(record: Record, now: float, fault: str, signal: int = 0) -> "Step":
    """End it because of `fault`; it stays wanted."""
    record.fault = fault
    record, actions = send_stop(record, now, signal or record.service.stop_signal)
    return record, [report(fault), *actions]


def send_stop(record: Record, now: float, signal: int) -> "Step":
    """Send a signal, and see to it that the process ends."""
    record.phase = r.STOPPING
    due = arm(r.KILL_DUE, now + record.service.stop_timeout_s)
    wake = Action("signal", SIGCONT)  # one that is stopped (Ctrl-Z, SIGSTOP) would not hear it
    return record, [r.DISARM, r.END_PROBE, Action("signal", signal), wake, due, r.ANNOUNCE]


def kill(record: Record, event: Event, now: float) -> "Step":
    """It did not stop in time."""
    record.kills += 1
    text = "did not stop in time: SIGKILL" if record.kills == 1 else "is there even after SIGKILL"
    due = arm(r.KILL_DUE, now + LEFTOVER_CHECK_S * min(record.kills, 30))
    return record, [report(text), Action("signal", SIGKILL), due]


def end(record: Record, event: Event, now: float) -> "Step":
    """The process is gone."""
    service = record.service
    was_told = record.phase == r.STOPPING and not record.fault
    has_failed = event.number != 0 or bool(record.fault)
    record.shown = describe_status(record.pid, event.number)
    if record.fault and not event.number:  # it left in peace, but only because we ended it
        record.shown = f"Error({record.fault})"
    record.pid = 0
    record.kills = record.misses = 0
    if not service.oneshot:
        record.not_before = now + min(service.restart_delay_s, START_PAUSE_S)
    if record.target_up and was_told:
        record, actions = come_back(record)
    elif record.target_up and is_restart_wanted(service, has_failed):
        record, actions = pause(record, now)
    else:
        record.phase = r.IDLE
        actions = []
    record.fault = ""
    return record, [r.DISARM, r.END_PROBE, r.SWEEP, *actions, r.ANNOUNCE]


def is_restart_wanted(service: "Service", has_failed: bool) -> bool:
    """Tell whether a service that ended by itself is started again."""
    policy = service.restart_policy
    return policy == ALWAYS or (policy == ON_FAILURE and has_failed)


def come_back(record: Record) -> "Step":
    """It was told to stop but is wanted again, or waits for what it requires."""
    if record.service.oneshot:
        return block(record)
    record.phase = r.PAUSED
    record.is_gated = True
    return record, [arm(r.RESTART_DUE, record.not_before)]


def pause(record: Record, now: float) -> "Step":
    """Start it again after a while, unless that happened too often."""
    service = record.service
    if now - record.started_at >= service.restart_window_s:
        record.delay_s = 0.0
    if service.restart_limit:
        recent = tuple(at for at in record.restarts if now - at < service.restart_window_s)
        if len(recent) >= service.restart_limit:
            return crash(record, len(recent))
        record.restarts = (*recent, now)
    longer_s = min(record.delay_s * service.restart_factor, service.restart_max_delay_s)
    record.delay_s = max(longer_s, service.restart_delay_s)
    record.phase = r.PAUSED
    record.is_gated = False
    return record, [arm(r.RESTART_DUE, now + record.delay_s)]


def crash(record: Record, count: int) -> "Step":
    """It ended too often: leave it, until somebody starts it."""
    window_s = record.service.restart_window_s
    reason = record.fault or record.shown
    record.shown = f"Crashed({count} restarts in {window_s:g} s, then {reason})"
    record.phase = r.IDLE
    return record, [report(record.shown)]


def describe_status(pid: int, status: int) -> str:
    """Return the shown state for a wait status (as waitpid gives it), in upstream's words."""
    number = status & 0x7F
    if number:
        core = "true" if status & 0x80 else "false"
        return f"Error(Signaled(Pid({pid}), {name_signal(number)}, {core}))"
    code = status >> 8
    return f"Error(Exited(Pid({pid}), {code}))" if code else "Success"
