"""Deferred replies: they are sent when a service has stopped or has been restarted, or a job ends.

Nothing is blocked meanwhile: a session asks each of its deferred replies every `LOOK_S` seconds
whether it is due.
"""

from zinit.life.record import IDLE, SPAWNING
from zinit.life.unit import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.control.api import Api
    from zinit.control.jobs import Job

LOOK_S = 0.05
# How long 0.2.28 takes to reply to a stop. Some of its clients rely on the restart pause (2 s)
# being nearly over by then.
STOP_TAKES_S = 1.0


class Deferred:
    """A reply that is sent when `is_due`; its result is null unless `result` returns another."""

    __slots__ = ("first_look", "is_due", "result")

    def __init__(
        self,
        first_look: float,
        is_due: "Callable[[float], bool]",
        result: "Callable[[], object]" = lambda: None,
    ) -> None:
        self.first_look = first_look  # the time from which to ask
        self.is_due = is_due  # given the time; raises the CommandError to send instead
        self.result = result  # may raise a CommandError too


def await_job(api: "Api", job: "Job") -> object:
    """Return the job's result, or a reply with it that comes when the job has ended."""
    if job.is_done:
        return job.result()
    return Deferred(api.now(), lambda _: job.is_done, job.result)


def stop(api: "Api", name: str) -> Deferred | None:
    """Stop a service; the reply comes when its process has ended, however long that takes.

    It is an error if the process has survived SIGKILL.
    """
    api.manager.stop(name)
    asked = api.now()
    unit = api.manager.find(name)
    if not unit.record.has_process:
        return None
    pid, started_at = unit.record.pid, unit.record.started_at

    def is_due(now: float) -> bool:
        record = unit.record
        if (record.pid, record.started_at) != (pid, started_at):
            return now >= asked + STOP_TAKES_S
        if record.is_down:  # two SIGKILLs were sent
            raise CommandError("stuck", f'service "{name}" has not ended even after SIGKILL')
        return False

    return Deferred(asked + STOP_TAKES_S, is_due)


def restart(api: "Api", name: str) -> Deferred | None:
    """Restart a service; the reply comes when its old process has ended and it is started again.

    "Started" is what `start` means by it: the service may still wait for its dependencies, or for
    the pause after an end.
    """
    unit = api.manager.find(name)
    pid, started_at = unit.record.pid, unit.record.started_at
    api.manager.restart(name)

    def is_due(now: float) -> bool:
        record = unit.record
        if api.manager.goal:
            raise CommandError("shutdown", "zinit is shutting down")
        if api.manager.units.get(name) is not unit or not record.target_up:
            raise CommandError("stopped", f'service "{name}" was stopped during its restart')
        if record.has_process and (record.pid, record.started_at) == (pid, started_at):
            if record.is_down:  # two SIGKILLs were sent
                text = f'service "{name}" has not ended even after SIGKILL; it starts when it has'
                raise CommandError("stuck", text)
            return False
        if record.phase == IDLE and record.started_at == started_at:
            raise CommandError("failed", f'service "{name}" cannot be started')
        return record.phase != SPAWNING

    now = api.now()
    return None if is_due(now) else Deferred(now + LOOK_S, is_due)
