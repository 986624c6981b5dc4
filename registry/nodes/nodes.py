"""The table of nodes: reports are accepted in order, and what they say is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from common.errors import ZosError
from common.nodes.envelope import Envelope
from registry.errors import AbsentError, NotAllowedError
from registry.log.batch import Batch
from registry.log.entries import REPORT
from registry.nodes.days import Credits, pause_s
from registry.nodes.judge import (
    Judgement,
    Standing,
    check_farm,
    check_order,
    judge,
    make_nonce,
)
from registry.nodes.model import REGISTER, Body, Report
from registry.nodes.proofs import Proofs
from registry.nodes.rows import body_row, progress_row
from registry.state.tables import FARMS, NODES
from serving.database import Database

STANDING = [NODES.c[name] for name in Standing.__slots__]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Arrived:
    """A report that is well formed and signed by its node."""

    envelope: Envelope
    report: Report
    body: Body
    proofs: Proofs


class Pins(NamedTuple):
    """What a node has proved once, and does not lose."""

    is_enrolled: bool
    ak: str


NO_PINS = Pins(False, "")


@dataclass(frozen=True, slots=True)
class Accepted:
    """What a node is told: the nonce of its next report."""

    nonce: str
    position: int
    at_s: float
    doubt: str


class Nodes:
    """Reads and writes the table; `secret` makes nonces. `is_strict`: only with a good token."""

    def __init__(self, database: Database, secret: bytes, *, is_strict: bool = False) -> None:
        self.database = database
        self.secret = secret
        self.is_strict = is_strict

    def find(self, node: str) -> Any:
        """Return the row of a node. Raises `AbsentError`."""
        with self.database.reading() as connection:
            row = connection.execute(select(NODES).where(NODES.c.id == node)).first()
        if row is None:
            raise AbsentError(f"no node {node[:64]} has reported here")
        return row

    def standing(self, node: str) -> Standing | None:
        """Return where a node is, None if it has never reported."""
        with self.database.reading() as connection:
            return find_standings(connection, [node]).get(node)

    def nonce(self, node: str, last: Standing | None) -> str:
        """Return the nonce of a node's next report."""
        return make_nonce(self.secret, node, last.reports if last else 0)

    def accept(self, batch: Batch, items: Sequence[Arrived]) -> list[Accepted | ZosError]:
        """Take reports into the log; the handler for the scribe."""
        taking = Taking(self, batch, items)
        results = [taking.take(item) for item in items]
        taking.save()
        return results


class Taking:
    """Reports of one batch: where their nodes are meanwhile, and what is to be written."""

    def __init__(self, nodes: Nodes, batch: Batch, items: Sequence[Arrived]) -> None:
        self.nodes = nodes
        self.batch = batch
        connection = batch.connection
        self.standings = find_standings(connection, {item.report.node for item in items})
        self.farms = {last.farm for last in self.standings.values()}
        self.farms |= find_farms(connection, {item.report.farm for item in items} - self.farms)
        self.pins = find_pins(connection, items)
        self.next_number = next_number(connection) if self.has_new(items) else 0
        self.credits = Credits()
        self.new: dict[int, Row] = {}
        self.changes: dict[int, Row] = {}

    def has_new(self, items: Sequence[Arrived]) -> bool:
        """Return whether some node has never reported."""
        return any(item.report.node not in self.standings for item in items)

    def take(self, item: Arrived) -> Accepted | ZosError:
        """Take one report, or return why not."""
        report, last = item.report, self.standings.get(item.report.node)
        try:
            self.check(item, last)
        except ZosError as error:
            return error
        at_s = self.batch.at_s
        judgement = judge(last, report, at_s, lambda *span: pause_s(self.batch.connection, *span))
        before = last or self.begin(report)
        verdict = self.find_verdict(item, before, judgement)
        position = self.batch.add(REPORT, before.number, make_fields(item, verdict))
        after = before.after(report, at_s)
        self.standings[report.node] = after
        self.credits.add(after.number, report.farm, at_s, judgement, position)
        self.note(item, after, judgement, position, verdict)
        return Accepted(self.nodes.nonce(report.node, after), position, at_s, judgement.doubt)

    def check(self, item: Arrived, last: Standing | None) -> None:
        """Raise `ZosError` for a report that cannot be accepted."""
        report, proofs = item.report, item.proofs
        if report.farm not in self.farms:
            raise AbsentError(
                f"there is no farm {report.farm}", hint="its owner registers it: zos registry farm"
            )
        check_order(last, report, self.nodes.nonce(report.node, last))
        check_farm(last, report, proofs.enrolled_for)
        if self.nodes.is_strict and report.kind == REGISTER and proofs.enrolled_for is None:
            raise NotAllowedError(
                f"this registry takes enrolled nodes only: {proofs.enrolment_why}",
                hint="boot it from an image that the farm's bootstrap server has made",
            )

    def begin(self, report: Report) -> Standing:
        """Return where a node is that reports for the first time."""
        number, self.next_number = self.next_number, self.next_number + 1
        self.new[number] = {"number": number, "id": report.node, "created_s": self.batch.at_s}
        return Standing(number, report.node, report.farm, "", 0, 0, 0.0, 0.0)

    def find_verdict(self, item: Arrived, before: Standing, judgement: Judgement) -> Row:
        """Return what the registry thinks of a report, as the log has it."""
        verdict: Row = {"doubt": judgement.doubt} if judgement.doubt else {}
        if item.report.kind != REGISTER:
            return verdict
        known = self.pins.get(before.number, NO_PINS)
        if before.farm != item.report.farm:
            known = known._replace(is_enrolled=False)
        pins, why = follow_pins(known, item.proofs)
        self.pins[before.number] = pins
        is_attested = not why
        why_not = "" if pins.is_enrolled else item.proofs.enrolment_why
        enrolment = {"is_enrolled": pins.is_enrolled, "enrolment_why": why_not}
        attestation = {"is_attested": is_attested, "attestation_why": why, "ak": pins.ak}
        return {**verdict, **enrolment, **attestation}

    def note(
        self, item: Arrived, after: Standing, judgement: Judgement, position: int, verdict: Row
    ) -> None:
        """Note what the tables get."""
        at_s, doubt = self.batch.at_s, judgement.doubt
        row = {
            **progress_row(item.report, at_s, after.reports, doubt, position),
            **body_row(item.report, item.body, at_s),
            **{key: value for key, value in verdict.items() if key != "doubt"},
        }
        rows = self.new if after.number in self.new else self.changes
        rows.setdefault(after.number, {}).update(row)

    def save(self) -> None:
        """Write what was noted."""
        connection = self.batch.connection
        if self.new:
            connection.execute(insert(NODES), list(self.new.values()))
        ordered = sorted(self.changes.items(), key=lambda pair: sorted(pair[1]))
        for names, group in groupby(ordered, key=lambda pair: sorted(pair[1])):
            change = update(NODES).where(NODES.c.number == bindparam("which"))
            rows = [{"which": number, **row} for number, row in group]
            connection.execute(change.values({name: bindparam(name) for name in names}), rows)
        self.credits.save(connection)


def make_fields(item: Arrived, verdict: Mapping[str, Any]) -> Row:
    """Return what the log has of a report."""
    fields: Row = {"message": item.envelope.fields}
    return {**fields, "verdict": dict(verdict)} if verdict else fields


def find_standings(connection: Connection, ids: Sequence[str] | set[str]) -> dict[str, Standing]:
    """Return where nodes are, by their ids."""
    rows = connection.execute(select(*STANDING).where(NODES.c.id.in_(list(ids))))
    return {row.id: Standing(*row) for row in rows}


def find_farms(connection: Connection, numbers: set[int]) -> set[int]:
    """Return the numbers of farms that are there."""
    if not numbers:
        return set()
    rows = connection.execute(select(FARMS.c.number).where(FARMS.c.number.in_(list(numbers))))
    return {row.number for row in rows}


def find_pins(connection: Connection, items: Sequence[Arrived]) -> dict[int, Pins]:
    """Return what the nodes that register have proved before, by their numbers."""
    ids = [item.report.node for item in items if item.report.kind == REGISTER]
    if not ids:
        return {}
    wanted = select(NODES.c.number, NODES.c.is_enrolled, NODES.c.ak).where(NODES.c.id.in_(ids))
    return {row.number: Pins(row.is_enrolled, row.ak) for row in connection.execute(wanted)}


def follow_pins(known: Pins, proofs: Proofs) -> tuple[Pins, str]:
    """Return what is proved from now on, and why the node is not attested (empty if it is).

    The first TPM that a node shows is its own from then on.
    """
    pins = Pins(known.is_enrolled or proofs.enrolled_for is not None, known.ak or proofs.ak)
    if proofs.ak and proofs.ak != pins.ak:
        return pins, "another TPM than the one that the node has shown first"
    return pins, proofs.attestation_why


def next_number(connection: Connection) -> int:
    """Return the number of the next new node."""
    return int(connection.execute(select(func.max(NODES.c.number))).scalar() or 0) + 1
