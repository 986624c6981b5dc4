"""Deferred replies: they are sent when a service has stopped or has been restarted.

Nothing is blocked meanwhile: a session asks each of its deferred replies every `LOOK_S` seconds
whether it is due.
"""

from zinit.life.record import IDLE, SPAWNING
from zinit.life.unit import CommandError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from zinit.control.api import Api

LOOK_S = 0.05
# How long 0.2.28 takes to reply to a stop. Some of its clients rely on the restart pause (2 s)
# being nearly over by then.
STOP_TAKES_S = 1.0
STOP_LIMIT_S = 25.0


class Deferred:
    """A reply, always null, that is sent when `is_due`."""

    __slots__ = ("first_look", "is_due")

    def __init__(self, first_look: float, is_due: "Callable[[float], bool]") -> None:
        self.first_look = first_look  # the time from which to ask
        self.is_due = is_due  # given the time; raises the CommandError to send instead


def stop(api: "Api", name: str) -> Deferred | None:
    """Stop a service; the reply comes when it is down, or after `STOP_LIMIT_S`."""
    api.manager.stop(name)
    asked = api.now()

    def is_due(now: float) -> bool:
        return now >= asked + (STOP_LIMIT_S if has_process(api, name) else STOP_TAKES_S)

    return Deferred(asked + STOP_TAKES_S, is_due) if has_process(api, name) else None


def has_process(api: "Api", name: str) -> bool:
    """Return whether a service still has a process."""
    unit = api.manager.units.get(name)
    return unit is not None and unit.record.has_process


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
