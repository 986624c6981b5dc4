"""The audit log: a chain that goes on after a restart, stays small, and shows changes."""

import json
from pathlib import Path

import pytest

from core.api.audit import START, Audit, AuditError, check_chain, read_lines


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    audit = Audit(tmp_path / "audit", bytes_max=8192)
    audit.open()
    return audit


def test_entries_are_a_chain_that_goes_on(audit: Audit) -> None:
    assert audit.write(event="called", path="/a")["previous"] == START
    again = Audit(audit.path)
    again.open()
    again.write(event="called", path="/b")
    entries = list(again.lines())
    assert [one["n"] for one in entries] == [1, 2]
    assert check_chain(entries) == entries[-1]
    assert audit.path.stat().st_mode & 0o777 == 0o600


def test_it_stays_small_and_whole(audit: Audit) -> None:
    for number in range(200):
        audit.write(event="called", path=f"/{number}" + "x" * 5000)
        assert audit.path.stat().st_size <= 8192
    entries = list(audit.lines())
    assert len(entries) > 5 and entries[-1]["n"] == 200
    check_chain(entries)


@pytest.mark.parametrize("change", ["edit", "remove", "swap"])
def test_a_change_is_noticed(audit: Audit, change: str) -> None:
    for number in range(4):
        audit.write(event="called", path=f"/{number}")
    lines = audit.path.read_bytes().splitlines(keepends=True)
    if change == "edit":
        lines[1] = lines[1].replace(b"/1", b"/7")
    elif change == "remove":
        del lines[1]
    else:
        lines[1], lines[2] = lines[2], lines[1]
    with pytest.raises(AuditError, match="was changed"):
        check_chain(read_lines(b"".join(lines)))


def test_a_broken_log_begins_anew(audit: Audit) -> None:
    audit.path.write_text("{\n")
    audit.open()
    assert audit.write(event="called")["n"] == 1


@pytest.mark.parametrize("entry", [{}, {"n": "1"}, {"n": 1, "hash": "x"}])
def test_entries_of_others_are_no_chain(entry: dict[str, object]) -> None:
    with pytest.raises(AuditError):
        check_chain(read_lines(json.dumps(entry).encode()))
