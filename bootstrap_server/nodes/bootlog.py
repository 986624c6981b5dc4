"""The boot log: how far the last boots of each machine have got, as the machines report it.

It is bounded: the newest `KEPT_BOOTS` of a machine, `KEPT_REPORTS` of a boot, `KEPT_MACHINES` in
all. Machines that go first are those whose farm no token has proved, then those not seen longest.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Update, bindparam, case, delete, func, insert, select, update

from bootstrap_server.nodes.identity import Identity, label_of
from bootstrap_server.nodes.report import IpxeReport, NodeReport, begins_boot, clean
from bootstrap_server.state.tables import BOOTS, MACHINES, REPORTS
from serving.database import Database, insert_new

KEPT_BOOTS = 10
KEPT_REPORTS = 40
KEPT_MACHINES = 20_000
SHOWN_MACHINES = 1000

# Statements of every report, built once: to build one takes longer than to run it.
SAME_CARD = (
    select(MACHINES.c.key)
    .where(MACHINES.c.mac == bindparam("card"))
    .order_by(MACHINES.c.last_s.desc())
    .limit(1)
)
NEWEST_BOOT = (
    select(BOOTS).where(BOOTS.c.machine == bindparam("key")).order_by(BOOTS.c.id.desc()).limit(1)
)
LAST_REPORT = (
    select(REPORTS).where(REPORTS.c.boot == bindparam("of")).order_by(REPORTS.c.id.desc()).limit(1)
)
ADD_REPORT = insert(REPORTS)
CHANGE_BOOT = update(BOOTS).where(BOOTS.c.id == bindparam("of"))
ADD_BOOT = insert(BOOTS)
SET_BOOT = update(MACHINES).where(MACHINES.c.key == bindparam("of"))
OLD_BOOTS = (
    select(BOOTS.c.id)
    .where(BOOTS.c.machine == bindparam("key"))
    .order_by(BOOTS.c.id.desc())
    .offset(KEPT_BOOTS)
)
FARM = MACHINES.c.farm.type
SAID_FARM = case(
    (MACHINES.c.is_enrolled, MACHINES.c.farm), else_=bindparam("said_farm", type_=FARM)
)


@lru_cache
def touch_statement(names: frozenset[str]) -> Update:
    """Return the update of a machine for reports that say these things of it."""
    values: dict[str, Any] = {name: bindparam(f"new_{name}") for name in names}
    if "said_farm" in names:
        del values["said_farm"]
        values["farm"] = SAID_FARM
    values["report_count"] = MACHINES.c.report_count + 1
    return update(MACHINES).where(MACHINES.c.key == bindparam("of")).values(values)


@dataclass(frozen=True, slots=True)
class Step:
    """One report; `code` is empty unless the stage is "failed"."""

    stage: str
    at_s: float
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot of a machine, with its reports in their order."""

    began_s: float
    steps: tuple[Step, ...]

    @property
    def state(self) -> str:
        """Return ready, failed or booting."""
        last = self.steps[-1].stage if self.steps else ""
        return last if last in ("ready", "failed") else "booting"


@dataclass(frozen=True, slots=True)
class Machine:
    """What is known of a machine. `is_enrolled`: a token of this server has proved its farm."""

    label: str
    identity: Identity
    farm: int | None
    mode: str
    version: str
    is_enrolled: bool
    first_s: float
    last_s: float
    count: int  # of its reports so far, also those that are not kept
    boots: tuple[Boot, ...]  # the newest first


class BootLog:
    """The log in a database."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] = time.time,
        kept_machines: int = KEPT_MACHINES,
    ) -> None:
        self.database = database
        self.clock = clock
        self.kept_machines = kept_machines

    def record(
        self, stage: str, report: IpxeReport, proved_farm: int | None = None
    ) -> float | None:
        """Add a report; `proved_farm` is that of a valid enrolment token.

        Returns the seconds from script to ready, if this report ends a boot that began so.
        """
        now_s = self.clock()
        with self.database.writing() as connection:
            key = find_key(connection, report.identity)
            values = machine_values(report, proved_farm, now_s)
            if not touch_machine(connection, key, values):
                insert_new(connection, MACHINES, new_machine(key, report, now_s))
                touch_machine(connection, key, values)
                self.forget_machines(connection)
            boot, last = find_boot(connection, key, stage, now_s)
            if last and (last.stage, last.code) == (stage, report.code):
                return None
            add_report(connection, boot, last, stage, report, now_s)
            return now_s - boot.began_s if stage == "ready" and boot.is_whole else None

    def forget_machines(self, connection: Connection) -> None:
        """Make room, a hundredth of all at once, if there are too many machines."""
        there = connection.execute(select(func.count()).select_from(MACHINES)).scalar_one()
        if there <= self.kept_machines:
            return
        too_many = there - self.kept_machines + self.kept_machines // 100
        order = (MACHINES.c.is_enrolled, MACHINES.c.last_s)
        oldest = select(MACHINES.c.key).order_by(*order).limit(too_many)
        oldest = oldest.with_for_update(skip_locked=True)  # another server may be at it
        connection.execute(delete(MACHINES).where(MACHINES.c.key.in_(oldest)))

    def list_farm(self, farm: int, since_s: float = 0) -> list[Machine]:
        """Return a farm's machines, each with its newest boot; the last one seen first.

        With `since_s`, only those that were seen from then on.
        """
        chosen = select(MACHINES).where(MACHINES.c.farm == farm, MACHINES.c.last_s >= since_s)
        chosen = chosen.order_by(MACHINES.c.last_s.desc(), MACHINES.c.key).limit(SHOWN_MACHINES)
        with self.database.reading() as connection:
            rows = connection.execute(chosen).all()
            boots = read_boots(connection, BOOTS.c.id.in_([row.boot for row in rows]))
        return [make_machine(row, boots.get(row.key, [])) for row in rows]

    def find(self, farm: int, label: str) -> Machine | None:
        """Return a farm's machine with all its boots that are kept."""
        chosen = select(MACHINES).where(MACHINES.c.farm == farm, MACHINES.c.label == label)
        with self.database.reading() as connection:
            row = connection.execute(chosen).first()
            if row is None:
                return None
            return make_machine(row, read_boots(connection, BOOTS.c.machine == row.key)[row.key])

    def versions_of(self, farms: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Return for each farm that has machines a value that changes with each of their reports.

        It changes too if the database shows a transaction later than one that began after it.
        """
        counted = select(MACHINES.c.farm, func.count(), func.sum(MACHINES.c.report_count))
        chosen = counted.where(MACHINES.c.farm.in_(list(farms))).group_by(MACHINES.c.farm)
        with self.database.reading() as connection:
            return {farm: (int(n), int(total)) for farm, n, total in connection.execute(chosen)}


@dataclass(frozen=True, slots=True)
class OpenBoot:
    """The boot that a report belongs to; `is_whole`: its first report was "script"."""

    id: int
    began_s: float
    is_whole: bool
    count: int


def find_key(connection: Connection, identity: Identity) -> str:
    """Return the machine of an identity: without a UUID, the one last seen with that MAC."""
    if identity.uuid:
        return identity.key
    known = connection.execute(SAME_CARD, {"card": identity.mac}).scalar()
    return str(known) if known else identity.key


def machine_values(report: IpxeReport, proved_farm: int | None, now_s: float) -> dict[str, Any]:
    """Return what a report changes of its machine: only what it says, by `touch_statement`'s names.

    A farm that a token has proved is changed by another token only.
    """
    said = {"mac": report.identity.mac, "serial": report.identity.serial, "mode": report.mode}
    if isinstance(report, NodeReport):
        said["version"] = clean(report.version)
    values: dict[str, Any] = {name: text for name, text in said.items() if text}
    if proved_farm is not None:
        values |= {"farm": proved_farm, "is_enrolled": True}
    elif report.farm is not None:
        values["said_farm"] = report.farm
    return {**values, "last_s": now_s}


def touch_machine(connection: Connection, key: str, values: dict[str, Any]) -> bool:
    """Update a machine's row, which also locks it; return whether it is there."""
    given = {name if name == "said_farm" else f"new_{name}": v for name, v in values.items()}
    change = touch_statement(frozenset(values))
    return connection.execute(change, {**given, "of": key}).rowcount > 0


def new_machine(key: str, report: IpxeReport, now_s: float) -> dict[str, object]:
    """Return the row of a machine that was not seen before."""
    empty = dict.fromkeys(("mac", "serial", "mode", "version"), "")
    known = {"key": key, "label": label_of(key), "uuid": report.identity.uuid}
    return {
        **empty,
        **known,
        "is_enrolled": False,
        "report_count": 0,
        "first_s": now_s,
        "last_s": now_s,
    }


def find_boot(
    connection: Connection, key: str, stage: str, now_s: float
) -> tuple[OpenBoot, Step | None]:
    """Return the boot that a report belongs to, which may be a new one, and its last report."""
    row = connection.execute(NEWEST_BOOT, {"key": key}).first()
    if row is None or begins_boot(stage, row.stage):
        return begin_boot(connection, key, stage, now_s), None
    last = connection.execute(LAST_REPORT, {"of": row.id}).first()
    boot = OpenBoot(row.id, row.began_s, row.is_whole, row.report_count)
    return boot, make_step(last) if last else None


def begin_boot(connection: Connection, key: str, stage: str, now_s: float) -> OpenBoot:
    """Make a boot and forget the machine's oldest ones."""
    is_whole = stage == "script"
    row = {"machine": key, "began_s": now_s, "is_whole": is_whole, "report_count": 0}
    made = connection.execute(ADD_BOOT, row).inserted_primary_key
    assert made is not None
    connection.execute(SET_BOOT, {"of": key, "boot": made[0]})
    older = connection.execute(OLD_BOOTS, {"key": key}).scalars().all()
    if older:
        connection.execute(delete(BOOTS).where(BOOTS.c.id.in_(older)))
    return OpenBoot(made[0], now_s, is_whole, 0)


def add_report(
    connection: Connection,
    boot: OpenBoot,
    last: Step | None,
    stage: str,
    report: IpxeReport,
    now_s: float,
) -> None:
    """Add a report to its boot; in a full one it takes the place of the last."""
    count = boot.count + 1
    if last and count > KEPT_REPORTS:
        newest = select(func.max(REPORTS.c.id)).where(REPORTS.c.boot == boot.id).scalar_subquery()
        connection.execute(delete(REPORTS).where(REPORTS.c.id == newest))
        count = boot.count
    detail = clean(report.detail) if isinstance(report, NodeReport) else ""
    row = {"boot": boot.id, "stage": stage, "code": report.code, "detail": detail, "at_s": now_s}
    connection.execute(ADD_REPORT, row)
    changed: dict[str, object] = {"of": boot.id, "report_count": count}
    if stage != "failed":
        changed["stage"] = stage
    connection.execute(CHANGE_BOOT, changed)


def read_boots(connection: Connection, which: Any) -> dict[str, list[Boot]]:
    """Return the boots that fulfil a condition by machine, the newest first."""
    rows = connection.execute(select(BOOTS).where(which).order_by(BOOTS.c.id.desc())).all()
    steps: dict[int, list[Step]] = {row.id: [] for row in rows}
    chosen = select(REPORTS).where(REPORTS.c.boot.in_(list(steps))).order_by(REPORTS.c.id)
    for row in connection.execute(chosen):
        steps[row.boot].append(make_step(row))
    boots: dict[str, list[Boot]] = {}
    for row in rows:
        boots.setdefault(row.machine, []).append(Boot(row.began_s, tuple(steps[row.id])))
    return boots


def make_step(row: Any) -> Step:
    """Return what a row says."""
    return Step(row.stage, row.at_s, row.code, row.detail)


def make_machine(row: Any, boots: Iterable[Boot]) -> Machine:
    """Return what a row says."""
    return Machine(
        label=row.label,
        identity=Identity(row.mac, row.uuid, row.serial),
        farm=row.farm,
        mode=row.mode,
        version=row.version,
        is_enrolled=row.is_enrolled,
        first_s=row.first_s,
        last_s=row.last_s,
        count=row.report_count,
        boots=tuple(boots),
    )
