"""Pauses between retries: growing, bounded, with jitter."""

from itertools import islice

from node.backoff import backoff_delays


def test_delays_double_up_to_a_limit() -> None:
    delays = list(islice(backoff_delays(first_s=1.0, limit_s=8.0), 50))
    for delay, nominal in zip(delays, [1, 2, 4, 8, *[8] * 46], strict=True):
        assert nominal * 0.75 <= delay <= nominal * 1.25


def test_two_nodes_get_different_delays() -> None:
    assert list(islice(backoff_delays(), 8)) != list(islice(backoff_delays(), 8))
