"""The limit of bytes a second."""

import time

from zstor.repair.rate import Rate


def test_bytes_take_their_time() -> None:
    rate = Rate(1000)
    start = time.monotonic()
    for _ in range(4):
        rate.take(100)
    assert 0.3 <= time.monotonic() - start < 5
    Rate().take(1 << 60)


def test_nobody_waits_after_the_stop() -> None:
    rate = Rate(1)
    rate.take(1000)
    rate.stop()
    start = time.monotonic()
    rate.take(1)
    assert time.monotonic() - start < 5
