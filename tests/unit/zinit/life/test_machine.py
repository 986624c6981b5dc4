"""Every pair of phase and event; the table in the docstring is the table in the code."""

import re

import pytest

from zinit.files.service import Service
from zinit.life import machine, steps
from zinit.life import record as r
from zinit.life.machine import TABLE, step
from zinit.life.record import EVENTS, PHASES, Event, ImpossibleEventError, Record

NOW = 50.0


def record_in(phase: str, **settings: object) -> Record:
    service = Service("web", "run")
    for name, value in settings.items():
        setattr(service, name, value)
    record = Record(service)
    record.phase = phase
    if phase in (r.STARTING, r.RUNNING, r.STOPPING):
        record.pid = 7
    record.target_up = phase not in (r.IDLE, r.STOPPING)
    return record


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", EVENTS)
def test_every_pair_has_an_action_or_is_an_error(phase: str, kind: str) -> None:
    before = record_in(phase)
    old = dict(vars(before))
    event = Event(kind, 7 if kind == r.SPAWNED else 0)
    if kind in TABLE[phase]:
        after, actions = step(before, event, NOW)
        assert after.phase in PHASES
        assert after is not before
        has_process = after.phase in (r.STARTING, r.RUNNING, r.STOPPING)
        assert after.has_process == has_process
        assert all(action.kind for action in actions)
    else:
        with pytest.raises(ImpossibleEventError):
            step(before, event, NOW)
    assert dict(vars(before)) == old


def test_the_docstring_shows_the_table() -> None:
    """The page that specifies the machine can't drift from it."""
    doc = machine.__doc__ or ""
    head = next(line for line in doc.splitlines() if line.strip().startswith("event "))
    phases = head.split()[1:]
    assert phases == list(PHASES)
    rows = {}
    for line in doc.splitlines():
        cells = re.split(r"\s{2,}", line.strip())
        if cells[0] in EVENTS and len(cells) == len(PHASES) + 1:
            rows[cells[0]] = cells[1:]
    assert set(rows) == set(EVENTS)
    for kind, cells in rows.items():
        for phase, cell in zip(PHASES, cells, strict=True):
            assert (cell == "-") == (kind not in TABLE[phase]), (kind, phase)
            if cell == "ignore":
                assert TABLE[phase][kind] is steps.ignore


def test_a_start_within_the_pause_waits_for_its_end() -> None:
    record = record_in(r.IDLE)
    record.not_before = NOW + 1
    record, actions = step(record, Event(r.START), NOW)
    assert record.phase == r.PAUSED
    assert [(a.kind, a.at) for a in actions] == [("arm", NOW + 1)]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "Success"),
        (3 << 8, "Error(Exited(Pid(7), 3))"),
        (9, "Error(Signaled(Pid(7), SIGKILL, false))"),
        (0x80 | 11, "Error(Signaled(Pid(7), SIGSEGV, true))"),
    ],
)
def test_exits_are_shown_in_upstreams_words(status: int, text: str) -> None:
    record, _ = step(record_in(r.RUNNING), Event(r.EXITED, status), NOW)
    assert record.shown == text
