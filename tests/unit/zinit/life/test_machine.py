"""Every pair of phase and event; the tables in the docstring are the table in the code."""

import itertools
from collections.abc import Iterator

import pytest

from zinit.files.service import Service
from zinit.life import machine
from zinit.life import record as r
from zinit.life.machine import TABLE, step
from zinit.life.outcome import FAILED, SUCCEEDED, UNKNOWN, Outcome, parse_outcome
from zinit.life.record import EVENTS, PHASES, Event, ImpossibleEventError, Record

NOW = 50.0
CELLS = [(phase, kind) for phase in PHASES for kind in TABLE[phase]]


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


def situations(phase: str, kind: str) -> Iterator[tuple[Record, Event]]:
    """Yield records and events that differ in everything that a handler's choice depends on."""
    for oneshot, tested, limited, restart, gated, fault, wanted, failed in itertools.product(
        (False, True), repeat=8
    ):
        record = record_in(
            phase,
            oneshot=oneshot,
            test="check" if tested else "",
            liveness="check" if tested else "",
            liveness_misses=1 if limited else 3,
            restart="always" if restart else "never",
            restart_limit=1 if limited else 0,
        )
        record.restarts = (NOW - 1,)
        record.not_before = NOW + 1 if gated else 0.0
        record.is_gated = gated
        record.fault = "fault" if fault else ""
        record.outcome = Outcome(FAILED if failed else UNKNOWN)
        if phase in (r.IDLE, r.STOPPING):
            record.target_up = wanted
        number = 7 if kind == r.SPAWNED else 256 * failed
        yield record, Event(kind, number, "text", is_transient=failed)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("kind", EVENTS)
def test_every_pair_has_a_cell_or_is_an_error(phase: str, kind: str) -> None:
    before = record_in(phase)
    old = dict(vars(before))
    event = Event(kind, 7 if kind == r.SPAWNED else 0)
    if kind in TABLE[phase]:
        after, actions = step(before, event, NOW)
        assert after is not before
        assert all(action.kind for action in actions)
    else:
        with pytest.raises(ImpossibleEventError):
            step(before, event, NOW)
    assert dict(vars(before)) == old


@pytest.mark.parametrize(("phase", "kind"), CELLS)
def test_a_handler_leads_to_exactly_the_phases_of_its_cell(phase: str, kind: str) -> None:
    reached = set()
    for record, event in situations(phase, kind):
        after, _ = step(record, event, NOW)
        reached.add(after.phase)
        assert after.has_process == (after.phase in (r.STARTING, r.RUNNING, r.STOPPING))
    assert reached == set(TABLE[phase][kind][1])


def test_a_handler_that_leads_elsewhere_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    handler, _ = TABLE[r.RUNNING][r.STOP]
    monkeypatch.setitem(TABLE[r.RUNNING], r.STOP, (handler, (r.IDLE,)))
    with pytest.raises(AssertionError, match="stop: from running to stopping"):
        step(record_in(r.RUNNING), Event(r.STOP), NOW)


def name_handler(phase: str, kind: str) -> str:
    return TABLE[phase][kind][0].__name__ if kind in TABLE[phase] else "-"


def format_handlers() -> str:
    """Return the table of handlers as the docstring has it."""
    rows = [["event", *PHASES]]
    rows += [[kind, *(name_handler(phase, kind) for phase in PHASES)] for kind in EVENTS]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("    " + "  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def format_moves() -> str:
    """Return the table of next phases as the docstring has it."""
    moves: dict[tuple[str, str], tuple[str, ...]] = {}
    for phase, kind in sorted(
        CELLS, key=lambda cell: (PHASES.index(cell[0]), EVENTS.index(cell[1]))
    ):
        handler, phases = TABLE[phase][kind]
        moves.setdefault((handler.__name__, phase), phases)
        assert moves[handler.__name__, phase] == phases
    return "\n".join(
        f"    {name:11}  {phase:8}  -> {', '.join(phases)}"
        for (name, phase), phases in moves.items()
        if phases != (phase,)
    )


def test_the_docstring_has_every_cell_of_the_table() -> None:
    paragraphs = (machine.__doc__ or "").split("\n\n")
    assert format_handlers() in paragraphs
    assert format_moves() in paragraphs


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
def test_ends_are_shown_in_upstreams_words(status: int, text: str) -> None:
    record, _ = step(record_in(r.RUNNING), Event(r.EXITED, status), NOW)
    assert str(record.outcome) == text
    assert (record.outcome.kind == SUCCEEDED) == (status == 0)
    assert str(parse_outcome(text)) == text


def test_an_unknown_word_is_an_unknown_outcome() -> None:
    assert str(parse_outcome("Levitating(high)")) == "Unknown"
