"""How long a service that was moved is waited for, by a clock that runs when somebody sleeps."""

from collections.abc import Callable
from pathlib import Path

import pytest

from node.generations import switch
from node.generations.switch import Services
from node.model import NodeError
from zinit.client.line import Client

Life = Callable[[float], tuple[str, int]]  # state and process at a time


class Clock:
    """A clock that stands while nobody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class FakeClient(Client):
    """A zinit with one service."""

    def __init__(self, clock: Clock, life: Life) -> None:
        super().__init__()
        self.clock, self.life = clock, life

    def list(self) -> dict[str, str]:
        return {"web": self.life(self.clock.now)[0]}

    def status(self, service: str) -> dict[str, object]:
        state, pid = self.life(self.clock.now)
        return {"state": state, "pid": pid}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return the clock of the module."""
    clock = Clock()
    monkeypatch.setattr(switch, "time", clock)
    return clock


def wait(clock: Clock, life: Life) -> float:
    """Wait until a service is up; return how long that took."""
    Services(FakeClient(clock, life), Path("/nonexistent")).wait_until_up(["web"])
    return clock.now


def starting(now: float) -> tuple[str, int]:
    """Live a service that needs four minutes, and whose process begins after two seconds."""
    if now < 2:
        return "Error", 0
    return ("Spawned" if now < 240 else "Running"), 7


def crashing(now: float) -> tuple[str, int]:
    """Live a service that crashes every three seconds."""
    return "Spawned", 100 + int(now / 3)


def hanging(_: float) -> tuple[str, int]:
    """Live a service that never gets ready."""
    return "Spawned", 7


def failed(_: float) -> tuple[str, int]:
    """Live a service whose program is missing."""
    return "Failure", 0


def test_a_slow_service_is_waited_for_while_its_process_goes_on(clock: Clock) -> None:
    assert wait(clock, starting) == pytest.approx(240, abs=1)


@pytest.mark.parametrize(("life", "limit_s"), [(crashing, 60), (failed, 60), (hanging, 300)])
def test_a_service_that_fails_is_waited_for_less_than_one_that_is_slow(
    clock: Clock, life: Life, limit_s: int
) -> None:
    with pytest.raises(NodeError, match=f"not ready after {limit_s} s: web is {life(0)[0]}"):
        wait(clock, life)
    assert clock.now == pytest.approx(limit_s, abs=1)


def test_stopping_takes_the_time_of_the_service(clock: Clock) -> None:
    """Its `stop_timeout` may be longer than the time to get ready."""
    services = Services(FakeClient(clock, hanging), Path("/nonexistent"))
    services.wait_for_end("web", lambda: clock.now > 200)
    with pytest.raises(NodeError, match="cannot stop web: it runs after 300 s"):
        services.wait_for_end("web", lambda: False)
