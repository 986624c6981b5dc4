"""What each event does to a service: the handlers of `machine.TABLE`.

A handler gets a copy of the record to change, and returns it with the actions to carry out.
"""

from zinit.files.service import ALWAYS, ON_FAILURE
from zinit.files.signals import SIGABRT, SIGCONT, SIGKILL
from zinit.life import outcome as o
from zinit.life import record as r
from zinit.life.outcome import Outcome, describe_crash, describe_end
from zinit.life.record import Action, Event, Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    Step = tuple[Record, list[Action]]

KILL_RETRY_S = 2.0
# A service without a test or notification is ready when it has run for this long, so that one
# which fails at once does not release its dependents.
SETTLE_S = 0.002
SPAWN_RETRY_S = 2.0
LOOK_S = 0.02  # how often to look whether a process group has ended
LOOK_AGAIN_S = 0.5  # the same after SIGKILL
START_PAUSE_S = 2.0  # the longest pause between an end and a start by command
FORGET_LATE = Action("drop", text=r.PROBE_LATE)


def arm(kind: str, at: float) -> Action:
    """Return the action that sends the event `kind` at `at`."""
    return Action("arm", text=kind, at=at)


def report(text: str) -> Action:
    """Return the action that writes `text` to the console."""
    return Action("report", text=text)


def ignore(record: Record, event: Event, now: float) -> "Step":
    """Change nothing."""
    return record, []


# No process


def schedule(record: Record, event: Event, now: float) -> "Step":
    """Wait for the dependencies, or before that for the pause after the last end."""
    record.target_up = True
    forget_failures(record)
    if now < record.not_before:
        record.phase = r.PAUSED
        record.is_gated = True
        return record, [arm(r.RESTART_DUE, record.not_before)]
    return block(record)


def retry(record: Record, event: Event, now: float) -> "Step":
    """Start a service that is wanted and has failed: its changed file may mend the reason."""
    if record.target_up and record.outcome.kind in o.FAILURES:
        return schedule(record, event, now)
    return record, []


def forget_failures(record: Record) -> None:
    """Reset what limits and delays automatic restarts: a command stops or starts the service."""
    record.restarts = ()
    record.delay_s = 0.0


def block(record: Record) -> "Step":
    """Wait for the dependencies."""
    record.phase = r.BLOCKED
    record.outcome = Outcome(o.BLOCKED)
    return record, [r.CHECK]


def block_again(record: Record, event: Event, now: float) -> "Step":
    """Wait again: a dependency was lost before the spawn, or the service file changed."""
    return block(record)


def gate(record: Record, event: Event, now: float) -> "Step":
    """Check the dependencies after the pause: one was lost, or the service file changed."""
    record.is_gated = True
    return record, []


def want_up(record: Record, event: Event, now: float) -> "Step":
    """Start the service again when it has ended."""
    record.target_up = True
    return record, []


def want_down(record: Record, event: Event, now: float) -> "Step":
    """Leave the service down when it has ended."""
    record.target_up = False
    record.is_unasked = False
    record.fault = ""
    if record.has_process:
        record.reason = ""
    forget_failures(record)
    return record, []


def rest(record: Record, event: Event, now: float) -> "Step":
    """Cancel a start: there is no process to stop. The outcome stays."""
    record.target_up = False
    record.phase = r.IDLE
    return record, [r.DISARM, r.ANNOUNCE]


def unblock(record: Record, event: Event, now: float) -> "Step":
    """Spawn: the dependencies are met."""
    record.phase = r.SPAWNING
    return record, [r.SPAWN]


def restart(record: Record, event: Event, now: float) -> "Step":
    """Spawn after the pause, or check the dependencies first."""
    if record.is_gated:
        return block(record)
    record.phase = r.SPAWNING
    return record, [r.SPAWN]


# From spawn to ready


def begin(record: Record, event: Event, now: float) -> "Step":
    """Note the new process, and arrange how to learn that it is ready."""
    record.pid = event.number
    record.started_at = now
    record.kills = record.misses = 0
    record.fault = record.reason = ""
    service = record.service
    actions = []
    if service.start_timeout_s:
        actions.append(arm(r.START_LATE, now + service.start_timeout_s))
    if service.oneshot:
        record.phase = r.RUNNING
        record.outcome = Outcome(o.RUNNING)
        return record, actions
    record.phase = r.STARTING
    record.outcome = Outcome(o.SPAWNED)
    if service.test:
        actions += probe_actions(service.probe_timeout_s, now)
    elif not service.ready:
        actions.append(arm(r.READY, now + SETTLE_S))
    return record, actions


def fail(record: Record, event: Event, now: float) -> "Step":
    """Give up after a failed spawn, or retry if the cause may pass."""
    record.outcome = Outcome(o.UNSPAWNED)
    record.reason = f"cannot start: {event.text}"
    reported = Action("refuse", text=record.reason)
    if event.is_transient:
        record.phase = r.PAUSED
        record.is_gated = False
        return record, [reported, arm(r.RESTART_DUE, now + SPAWN_RETRY_S)]
    record.phase = r.IDLE
    return record, [reported, r.ANNOUNCE]


def run(record: Record, event: Event, now: float) -> "Step":
    """Note that the service is ready, and release its dependents."""
    record.phase = r.RUNNING
    record.outcome = Outcome(o.RUNNING)
    record.reason = ""
    service = record.service
    actions = [r.DISARM, r.END_PROBE]
    if service.liveness:
        actions.append(arm(r.PROBE_DUE, now + service.liveness_interval_s))
    if service.watchdog_s:
        actions.append(arm(r.PING_LATE, now + service.watchdog_s))
    return record, [*actions, r.ANNOUNCE]


def give_up(record: Record, event: Event, now: float) -> "Step":
    """Stop a service that is not ready in time, or a oneshot that has not ended in time."""
    limit_s = record.service.start_timeout_s
    return make_stop(record, now, f"was not ready within {limit_s:g} s")


# Probes and the watchdog


def probe(record: Record, event: Event, now: float) -> "Step":
    """Run the test of this phase with its time limit; a reload may have removed the test."""
    service = record.service
    if record.phase == r.RUNNING:
        return record, probe_actions(service.liveness_timeout_s, now) if service.liveness else []
    if not service.test:
        return (record, []) if service.ready else run(record, event, now)
    return record, probe_actions(service.probe_timeout_s, now)


def probe_actions(limit_s: float, now: float) -> list[Action]:
    """Return the actions that run a test with a time limit (0: none)."""
    return [r.PROBE, arm(r.PROBE_LATE, now + limit_s)] if limit_s else [r.PROBE]


def probe_again(record: Record, event: Event, now: float) -> "Step":
    """Test again later: the service is not ready yet."""
    reports = []
    if event.kind == r.PROBE_BROKEN:
        reason = f"its test cannot be run: {event.text}"
        reports = [report(reason)] if record.reason != reason else []
        record.outcome, record.reason = Outcome(o.UNTESTED), reason
    else:
        record.outcome, record.reason = Outcome(o.SPAWNED), ""
    due = arm(r.PROBE_DUE, now + record.service.probe_interval_s)
    return record, [*reports, r.END_PROBE, FORGET_LATE, due]


def note_good(record: Record, event: Event, now: float) -> "Step":
    """Note that the liveness test passed."""
    record.misses = 0
    return record, [FORGET_LATE, arm(r.PROBE_DUE, now + record.service.liveness_interval_s)]


def note_miss(record: Record, event: Event, now: float) -> "Step":
    """Note that the liveness test failed; stop the service after too many failures in a row.

    A test for which no process or descriptor was free says nothing about the service.
    """
    if not record.service.liveness:  # a reload removed the test while it ran
        return record, [r.END_PROBE, FORGET_LATE]
    record.misses += not event.is_transient
    if record.misses >= record.service.liveness_misses:
        return make_stop(record, now, f"failed its liveness test {record.misses} times")
    due = arm(r.PROBE_DUE, now + record.service.liveness_interval_s)
    return record, [r.END_PROBE, FORGET_LATE, due]


def rewind(record: Record, event: Event, now: float) -> "Step":
    """Restart the watchdog's timer."""
    if not record.service.watchdog_s:
        return record, []
    return record, [arm(r.PING_LATE, now + record.service.watchdog_s)]


def abort(record: Record, event: Event, now: float) -> "Step":
    """Stop a service that missed its watchdog; SIGABRT lets it leave a core dump."""
    fault = f"did not ping its watchdog for {record.service.watchdog_s:g} s"
    return make_stop(record, now, fault, SIGABRT)


# From stop to the end


def stop(record: Record, event: Event, now: float) -> "Step":
    """Stop the service; SIGKILL follows if it does not end in time."""
    record.target_up = False
    record.reason = ""
    forget_failures(record)
    return send_stop(record, now, record.service.stop_signal)


def lose(record: Record, event: Event, now: float) -> "Step":
    """Stop because a required service is lost; start again when that is back."""
    record.reason = f"the required service {event.text} is down"
    record, actions = send_stop(record, now, record.service.stop_signal)
    return record, [report(f"stopping: {record.reason}"), *actions]


def renew(record: Record, event: Event, now: float) -> "Step":
    """Restart because the service file changed."""
    record, actions = send_stop(record, now, record.service.stop_signal)
    return record, [report("restarting: its service file changed"), *actions]


def make_stop(record: Record, now: float, fault: str, signal: int = 0) -> "Step":
    """Stop the service because of `fault`; it stays wanted."""
    record.fault = record.reason = fault
    record, actions = send_stop(record, now, signal or record.service.stop_signal)
    return record, [report(fault), *actions]


def send_stop(record: Record, now: float, signal: int) -> "Step":
    """Send a signal that stops the service, and arrange for SIGKILL."""
    record.phase = r.STOPPING
    due = arm(r.KILL_DUE, now + record.service.stop_timeout_s)
    wake = Action("signal", SIGCONT)  # a suspended process would not handle the signal
    return record, [r.DISARM, r.END_PROBE, Action("signal", signal), wake, due, r.ANNOUNCE]


def kill(record: Record, event: Event, now: float) -> "Step":
    """Send SIGKILL, again and again but ever more rarely."""
    record.kills += 1
    is_first = record.kills == 1
    text = "did not stop in time, sending SIGKILL" if is_first else "still exists after SIGKILL"
    due = arm(r.KILL_DUE, now + KILL_RETRY_S * min(record.kills, 30))
    return record, [report(text), Action("signal", SIGKILL), due]


def linger(record: Record, event: Event, now: float) -> "Step":
    """Note that the main process has ended, and end the rest of its group.

    A worker that is left would keep its port from the next start. A oneshot that succeeds may leave
    processes behind; that is what some are for.
    """
    is_unasked = record.phase != r.STOPPING
    if is_unasked and record.service.oneshot and not event.number:
        return end(record, event, now)
    record.ended = event.number
    due = arm(r.LOOK_DUE, now + LOOK_S)
    if not is_unasked:
        return record, [due]
    record.is_unasked = True
    record, actions = send_stop(record, now, record.service.stop_signal)
    if not record.delay_s:  # said once for several restarts in a row
        actions.insert(0, report("its main process has ended, stopping the rest of its group"))
    return record, [*actions, due]


def look(record: Record, event: Event, now: float) -> "Step":
    """Look whether the group has ended."""
    due = arm(r.LOOK_DUE, now + (LOOK_AGAIN_S if record.kills else LOOK_S))
    return record, [due, r.LOOK]


def end(record: Record, event: Event, now: float) -> "Step":
    """Note how the process ended, and decide whether and when to start the service again."""
    service = record.service
    was_told = record.phase == r.STOPPING and not record.fault and not record.is_unasked
    record.outcome = describe_end(record.pid, event.number, record.fault)
    record.pid = 0
    record.ended = -1
    record.is_unasked = False
    record.kills = record.misses = 0
    if not service.oneshot:
        record.not_before = now + min(service.restart_delay_s, START_PAUSE_S)
    if record.target_up and was_told:
        record, actions = start_again(record)
    elif record.target_up and is_restart_wanted(record):
        record, actions = pause(record, now)
    else:
        record.phase = r.IDLE
        actions = []
    record.fault = ""
    return record, [r.DISARM, r.END_PROBE, r.SWEEP, *actions, r.ANNOUNCE]


def is_restart_wanted(record: Record) -> bool:
    """Return whether to restart a service that ended by itself or because of a fault."""
    policy = record.service.restart_policy
    return policy == ALWAYS or (policy == ON_FAILURE and record.outcome.kind == o.FAILED)


def start_again(record: Record) -> "Step":
    """Start again after a stop: the service is wanted, once its dependencies are met."""
    if record.service.oneshot:
        return block(record)
    record.phase = r.PAUSED
    record.is_gated = True
    return record, [arm(r.RESTART_DUE, record.not_before)]


def pause(record: Record, now: float) -> "Step":
    """Restart after a delay, unless there were too many restarts."""
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
    """Leave the service down until it is started by command."""
    reason = record.fault or str(record.outcome)
    record.outcome = describe_crash(count, record.service.restart_window_s, reason)
    record.phase = r.IDLE
    return record, [report(str(record.outcome))]
