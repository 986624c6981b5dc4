"""Signals to a mount: handled while it waits for a request, and never lost."""

import os
import signal
import time

import pytest

from flist.mount.fuse import stopping as module
from flist.mount.fuse.stopping import Stop, stop_on_signals

NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def wait_for_ever() -> None:
    """Read from a pipe that nothing writes to."""
    reading, writing = os.pipe()
    try:
        os.read(reading, 1)
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_that_comes_just_before_the_wait_is_not_lost(number: int) -> None:
    with pytest.raises(Stop), stop_on_signals() as stopping:
        signal.raise_signal(number)
        assert stopping.is_asked  # the last check before the wait
        stopping.is_idle = True
        wait_for_ever()


def test_a_signal_during_an_answer_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "GIVEN_UP_AFTER_S", 600.0)
    with stop_on_signals() as stopping:
        signal.raise_signal(signal.SIGTERM)
        assert stopping.is_asked
        assert not stopping.is_heeded
        stopping.is_idle = True
        with pytest.raises(Stop):
            wait_for_ever()
        time.sleep(3 * module.RESEND_S)  # a second one would raise here
        signal.raise_signal(signal.SIGINT)


def test_an_answer_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GIVEN_UP_AFTER_S", 0.05)
    with pytest.raises(Stop), stop_on_signals():
        signal.raise_signal(signal.SIGTERM)
        wait_for_ever()


def test_the_state_of_signals_is_restored() -> None:
    def look() -> tuple[object, ...]:
        wakeup = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(wakeup)
        return wakeup, [signal.getsignal(number) for number in NUMBERS]

    before = look()
    with stop_on_signals():
        assert look() != before
    with pytest.raises(Stop), stop_on_signals() as stopping:
        stopping.is_idle = True
        signal.raise_signal(signal.SIGTERM)
    assert look() == before


def test_an_ignored_signal_stays_ignored() -> None:
    """As nohup sets it."""
    kept = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals() as stopping:
            stopping.is_idle = True
            signal.raise_signal(signal.SIGHUP)
        assert not stopping.is_asked
    finally:
        signal.signal(signal.SIGHUP, kept)
