"""The time limit of an answer, measured with a fake clock."""

import pytest

from flist.http.patience import SLOWEST_BYTES_PER_S, Patience


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def wait_for(patience: Patience, clock: Clock, size: int, pause_s: float) -> int:
    """Receive `size` bytes every `pause_s`, for 1000 s at most; return how many arrived."""
    came = 0
    while clock.now < 1100:
        clock.now += pause_s
        try:
            patience.left()
        except TimeoutError:
            break
        patience.take(size)
        came += size
    return came


def test_silence_uses_up_the_time() -> None:
    clock = Clock()
    patience = Patience(7, clock=clock)
    clock.now += 6.9
    assert patience.left() == pytest.approx(0.1)
    clock.now += 0.1
    with pytest.raises(TimeoutError):
        patience.left()


def test_dripping_bytes_give_no_time_back() -> None:
    clock = Clock()
    assert wait_for(Patience(7, clock=clock), clock, 1, 0.5) < 20
    assert clock.now < 108


def test_a_slow_but_steady_transfer_is_not_given_up() -> None:
    clock = Clock()
    came = wait_for(Patience(3, clock=clock), clock, 2 * SLOWEST_BYTES_PER_S, 2)
    assert came > 400 * SLOWEST_BYTES_PER_S


def test_a_fast_start_earns_no_credit() -> None:
    clock = Clock()
    patience = Patience(3, clock=clock)
    patience.take(1 << 30)
    assert patience.left() == 3
    clock.now += 3
    with pytest.raises(TimeoutError):
        patience.left()


def test_the_size_of_an_answer_is_limited() -> None:
    patience = Patience(3, 1000)
    patience.take(1000)
    with pytest.raises(OSError, match="end"):
        patience.take(1)
