"""When a process that has ended is started anew."""

from zdb.serve.supervisor import MAX_WAIT_S, STEADY_S, Slot


def test_a_process_that_keeps_ending_is_waited_for_longer() -> None:
    slot, now = Slot(0), 100.0
    waits = []
    for _ in range(8):
        slot.pid, slot.since = 1, now
        waits.append(slot.bury(now))
        now = slot.start_at
    assert waits == [1, 2, 4, 8, 16, MAX_WAIT_S, MAX_WAIT_S, MAX_WAIT_S]


def test_a_process_that_has_served_is_started_at_once() -> None:
    slot = Slot(0, pid=1, since=100.0, deaths=7)
    assert slot.bury(100.0 + STEADY_S) == 1
