"""What follows a report, and what counts: the rules as tables, without a server."""

import pytest

from registry.errors import ConflictError
from registry.names import DAY_S
from registry.nodes.judge import GAP_S, Standing, check_order, find_doubt, judge, split_days
from registry.nodes.model import Report

BOOT, OTHER = (f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2))
AT_S = 1_790_812_800.0
LAST = Standing(1, "id", 1, BOOT, 5, 9, AT_S, 1000.0)
NO_PAUSE = 0.0


def make_report(**changed: object) -> Report:
    fields = {
        "node": "id", "farm": 1, "boot": BOOT, "sequence": 6, "nonce": "n",
        "sent": AT_S + 2400, "uptime_s": 3400.0, "kind": "heartbeat", "body": {},
    }  # fmt: skip
    return Report.model_validate({**fields, **changed})


@pytest.mark.parametrize(
    ("last", "changed", "text"),
    [
        (LAST, {}, ""),
        (LAST, {"sequence": 5}, "6 is the next one: it was reported before"),
        (LAST, {"sequence": 1}, "6 is the next one: it was reported before"),
        (LAST, {"sequence": 7}, "6 is the next one: reports are missing between"),
        (LAST, {"nonce": "m"}, "nonce is not the one"),
        (LAST, {"boot": OTHER, "sequence": 1, "kind": "register"}, ""),
        (LAST, {"boot": OTHER, "sequence": 6}, "1 is the next one: this boot has not reported"),
        (LAST, {"boot": OTHER, "sequence": 1}, "a boot's first report is a registration"),
        (None, {"sequence": 1, "kind": "register"}, ""),
        (None, {"sequence": 1}, "a boot's first report is a registration"),
        (None, {"sequence": 2, "kind": "register"}, "1 is the next one"),
    ],
)
def test_only_the_next_report_is_taken(
    last: Standing | None, changed: dict[str, object], text: str
) -> None:
    report = make_report(**changed)
    if not text:
        check_order(last, report, "n")
        return
    with pytest.raises(ConflictError, match=text) as caught:
        check_order(last, report, "n")
    expected = 6 if last and report.boot == BOOT else 1
    said = {"boot": report.boot, "sequence": expected, "nonce": "n"}
    assert caught.value.http_members == {"expected": said}


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({}, ""),
        ({"uptime_s": 3459.0}, ""),
        ({"uptime_s": 3461.0}, "its uptime grew by 2461 s while 2400 s passed"),
        ({"uptime_s": 3339.0}, "its uptime grew by 2339 s while 2400 s passed"),
        ({"uptime_s": 10.0}, "its uptime grew by -990 s"),
        ({"sent": AT_S + 2459}, ""),
        ({"sent": AT_S + 2461}, "sent 61 s later"),
        ({"sent": AT_S + 2339}, "sent 61 s earlier"),
        ({"boot": OTHER, "uptime_s": 2459.0}, ""),
        ({"boot": OTHER, "uptime_s": 2461.0}, "began before the last report of another"),
    ],
)
def test_a_claim_is_compared_with_the_registrys_clock(
    changed: dict[str, object], text: str
) -> None:
    doubt = find_doubt(LAST, make_report(**changed), AT_S + 2400)
    assert text in doubt
    assert bool(doubt) == bool(text)


def test_what_counts() -> None:
    day = int(AT_S // DAY_S)

    def count(passed_s: float, pause_s: float = NO_PAUSE, **changed: object) -> object:
        report = make_report(sent=AT_S + passed_s, **{"uptime_s": 1000 + passed_s, **changed})
        return judge(LAST, report, AT_S + passed_s, lambda *_: pause_s).up

    assert count(2400) == ((day, 2_400_000),)
    assert count(2400, uptime_s=5000.0) == ()  # doubted
    assert count(2400, boot=OTHER, uptime_s=5.0) == ()  # nobody knows what was between
    assert count(GAP_S) == ((day, int(GAP_S * 1000)),)
    assert count(GAP_S + 1) == ()  # it has been silent for too long
    assert count(GAP_S + 1000, pause_s=999) == ()
    assert count(GAP_S + 1000, pause_s=1000) == ((day, int(GAP_S * 1000) + 1_000_000),)
    assert judge(None, make_report(), AT_S + 2400, lambda *_: 0.0).up == ()


def test_an_interval_is_split_at_midnight() -> None:
    day = int(AT_S // DAY_S)
    assert list(split_days(AT_S - 1.5, AT_S + DAY_S + 0.25)) == [
        (day - 1, 1500), (day, DAY_S * 1000), (day + 1, 250),
    ]  # fmt: skip
    assert list(split_days(AT_S, AT_S)) == []
