"""Carries out the log again: signatures, order, what counts, and the tables that follow from it.

Leaves that are kept no more are left out: a node's account begins then with the first report that
is there.
"""

import json
from collections.abc import Mapping
from typing import Any

from common.errors import ZosError
from common.nodes.envelope import Envelope, open_envelope
from common.nodes.nodeid import node_id
from registry.errors import DamagedError
from registry.farms.model import FarmMessage, parse_farm
from registry.log.entries import FARM, PAUSE, REPORT, Entry
from registry.names import DAY_S, show_key
from registry.nodes.days import Credits, overlap_s
from registry.nodes.judge import Judgement, Standing, check_order, judge, make_nonce
from registry.nodes.model import Body, Report, parse_report
from registry.nodes.rows import body_row, progress_row

Row = dict[str, Any]


class Replay:
    """The tables, as the log makes them."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.farms: dict[int, Row] = {}
        self.nodes: dict[int, Row] = {}
        self.standings: dict[str, Standing] = {}
        self.forgotten: dict[int, int] = {}  # reports of a node whose leaves are gone
        self.pauses: list[Entry] = []
        self.credits = Credits()
        self.first_s = 0.0  # the account of days is whole from here on

    def take(self, entry: Entry) -> None:
        """Carry out one entry. Raises `DamagedError`."""
        try:
            if entry.leaf is None:
                self.forget(entry)
            elif entry.kind == FARM:
                self.take_farm(entry)
            elif entry.kind == REPORT:
                self.take_report(entry)
            elif entry.kind == PAUSE:
                self.pauses.append(entry)
            else:
                raise DamagedError("its kind is unknown")
        except (ZosError, KeyError, TypeError, ValueError) as error:
            raise DamagedError(f"entry {entry.position} cannot be in this log: {error}") from error

    def forget(self, entry: Entry) -> None:
        """Count a report that is kept no more."""
        if entry.kind != REPORT:
            raise DamagedError("its leaf is not there")
        self.forgotten[entry.subject] = self.forgotten.get(entry.subject, 0) + 1
        self.first_s = entry.at_s

    def take_farm(self, entry: Entry) -> None:
        """Register or change a farm."""
        envelope = reopen(entry.fields, FARM)
        message = parse_farm(envelope.payload)
        number = int(entry.fields["farm"])
        before = self.farms.get(number)
        check_owner(message, show_key(envelope.key), before)
        if number != entry.subject or message.farm not in (None, number):
            raise DamagedError("it is of another farm")
        created_s = before["created_s"] if before else entry.at_s
        row = {**message.row(), "changed_s": entry.at_s, "position": entry.position}
        self.farms[number] = {"number": number, "created_s": created_s, **row}

    def take_report(self, entry: Entry) -> None:
        """Take a node's report."""
        envelope = reopen(entry.fields, REPORT)
        report, body = parse_report(envelope.payload)
        verdict: Row = entry.fields.get("verdict", {})
        last = self.check_report(entry, envelope, report)
        judgement = judge(last, report, entry.at_s, self.pause_s)
        if last is None and self.forgotten.get(entry.subject):
            # What came before is not known: the registry has judged by it.
            judgement = Judgement(verdict.get("doubt", ""), (), is_boot=report.sequence == 1)
        if judgement.doubt != verdict.get("doubt", ""):
            raise DamagedError(f"its doubt is {verdict.get('doubt', '')!r}: {judgement.doubt!r}")
        before = last or self.begin(entry, report)
        after = before.after(report, entry.at_s)
        self.standings[report.node] = after
        self.credits.add(after.number, report.farm, entry.at_s, judgement, entry.position)
        self.note(entry, after, report, body, judgement.doubt, verdict)

    def check_report(self, entry: Entry, envelope: Envelope, report: Report) -> Standing | None:
        """Return what a report follows. Raises `ZosError` if it does not."""
        if node_id(envelope.key) != report.node:
            raise DamagedError("it is not signed by its node")
        if report.farm not in self.farms:
            raise DamagedError(f"there was no farm {report.farm}")
        last = self.standings.get(report.node)
        if last is not None and last.number != entry.subject:
            raise DamagedError("it is of another node")
        if last is not None or not self.forgotten.get(entry.subject):
            reports = last.reports if last else 0
            check_order(last, report, make_nonce(self.secret, report.node, reports))
        return last

    def begin(self, entry: Entry, report: Report) -> Standing:
        """Return where a node is of which this is the first report that is kept."""
        number, reports = entry.subject, self.forgotten.get(entry.subject, 0)
        if number in self.nodes:
            raise DamagedError("its number is another node's")
        self.nodes[number] = {"number": number, "id": report.node}
        if not reports:
            self.nodes[number]["created_s"] = entry.at_s
        return Standing(number, report.node, report.farm, "", 0, reports, 0.0, 0.0)

    def note(
        self,
        entry: Entry,
        after: Standing,
        report: Report,
        body: Body,
        doubt: str,
        verdict: Mapping[str, Any],
    ) -> None:
        """Note what the table of nodes must have."""
        self.nodes[after.number].update(
            progress_row(report, entry.at_s, after.reports, doubt, entry.position),
            **body_row(report, body, entry.at_s),
            **{key: value for key, value in verdict.items() if key != "doubt"},
        )

    def pause_s(self, start_s: float, end_s: float) -> float:
        """Return how long no server of the registry could write between two times."""
        return sum(overlap_s(entry, start_s, end_s) for entry in self.pauses)

    def longest_pause_days(self) -> int:
        """Return how many whole days the longest pause had."""
        lengths = (float(entry.fields["to"]) - float(entry.fields["from"]) for entry in self.pauses)
        return int(max(lengths, default=0.0) // DAY_S)


def reopen(fields: Mapping[str, Any], kind: str) -> Envelope:
    """Return the message of an entry. Raises `EnvelopeError`."""
    return open_envelope(json.dumps(fields["message"]).encode(), kind)


def check_owner(message: FarmMessage, key: str, before: Row | None) -> None:
    """Raise `DamagedError` unless the right key has signed the next change."""
    if key != (before["owner"] if before else message.owner):
        raise DamagedError("it is not signed by the farm's owner")
    if message.sequence != (before["sequence"] if before else 0) + 1:
        raise DamagedError("its sequence is not the next one")
