"""The table of provisioning: which machine gets which options, and what was given to whom.

A row is known by any of its names (MAC address, UUID, serial number), and each name belongs to one
row: the database holds that. A row without options waits to be claimed. A machine whose names
belong to different rows, or contradict its row, gets nothing: `ConflictError` names both.
"""

import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from bootstrap_server.errors import ConflictError, InputError, NotThereError
from bootstrap_server.nodes.identity import Identity
from bootstrap_server.options.model import Options
from bootstrap_server.options.parse import parse_json
from bootstrap_server.state.tables import HISTORY, NODES
from serving.database import Database

KEPT_EVENTS = 50  # of a node
KEPT_EVENTS_OF_UNKNOWN = 5000
KEPT_WAITING = 1000
SELF = "the node"


@dataclass(frozen=True, slots=True)
class Node:
    """One row; `options` is None while the node waits to be claimed.

    It is None, too, if the options can't be read, since another version has stored them: `fault`
    says why. Such a row can be replaced and removed.
    """

    id: int
    identity: Identity
    options: Options | None
    created_s: float
    asked_s: float | None
    fault: str = ""

    @property
    def is_waiting(self) -> bool:
        """Return whether a farmer can claim it."""
        return self.options is None and not self.fault

    @property
    def trouble(self) -> str:
        """Return what is wrong with the row, as a text for people."""
        return f"the options of the node {self.identity} cannot be read: {self.fault}"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a row: created, changed, claimed, deleted, waiting, given."""

    at_s: float
    event: str
    who: str
    names: str
    options: dict[str, object] | None


class RaceError(ConflictError):
    """Another transaction has added the same name meanwhile."""


class RowsError(Exception):
    """Rows that can't be put: the place of each among all, and why."""

    def __init__(self, faults: list[tuple[int, str]]) -> None:
        super().__init__(f"{len(faults)} rows can't be put")
        self.faults = faults


class NodeTable:
    """The rows in a database. `who` is kept in the history: the name of a token, or a command."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.database = database
        self.clock = clock

    def list_all(self) -> list[Node]:
        """Return all rows: those that wait first, the others in their order."""
        order = select(NODES).order_by(NODES.c.options.is_not(None), NODES.c.id)
        with self.database.reading() as connection:
            return [make_node(row) for row in connection.execute(order)]

    def find(self, identity: Identity) -> Node | None:
        """Return the row of a machine. Raises `ConflictError`."""
        with self.database.reading() as connection:
            return find_node(connection, identity)

    def get(self, identity: Identity) -> Node:
        """Return the row of a machine. Raises `NotThereError` and `ConflictError`."""
        with self.database.reading() as connection:
            return get_node(connection, identity)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Connection]:
        """Give a transaction. Raises `RaceError` if another one adds the same name meanwhile."""
        try:
            with self.database.writing() as connection:
                yield connection
        except IntegrityError as error:
            raise RaceError("another change of the same node came first") from error

    def put(self, identity: Identity, options: Options, who: str) -> bool:
        """Give a machine options, in a new row or its own; return whether it is new."""
        with self.changing() as connection:
            return self.put_in(connection, identity, options, who)

    def put_all(self, rows: Iterable[tuple[Identity, Options]], who: str) -> tuple[int, int]:
        """Put rows, all or none; return how many were new and how many changed.

        Raises `RowsError`.
        """
        counts = {True: 0, False: 0}
        faults = []
        with self.changing() as connection:
            for place, (identity, options) in enumerate(rows):
                try:
                    counts[self.put_in(connection, identity, options, who)] += 1
                except ConflictError as error:
                    faults.append((place, error.message))
            if faults:
                raise RowsError(faults)
        return counts[True], counts[False]

    def put_in(
        self, connection: Connection, identity: Identity, options: Options, who: str
    ) -> bool:
        """Put one row within a transaction."""
        known = find_node(connection, identity)
        if known is None:
            self.add(connection, identity, options, "created", who)
            return True
        names = Identity(**(known.identity.names | identity.names))
        change = update(NODES).where(NODES.c.id == known.id)
        connection.execute(change.values(**names.names, options=dump(options)))
        self.remember(connection, known.id, names, "changed", who, options)
        return False

    def claim(self, identity: Identity, options: Options, who: str) -> None:
        """Give options to a node that waits. Raises `NotThereError` and `ConflictError`."""
        with self.changing() as connection:
            node = get_node(connection, identity)
            waiting = update(NODES).where(NODES.c.id == node.id, NODES.c.options.is_(None))
            if not connection.execute(waiting.values(options=dump(options))).rowcount:
                raise ConflictError(f"the node {node.identity} is claimed already")
            self.remember(connection, node.id, node.identity, "claimed", who, options)

    def remove(self, identity: Identity, who: str) -> None:
        """Forget a row; its history stays. Raises `NotThereError` and `ConflictError`."""
        with self.changing() as connection:
            node = get_node(connection, identity)
            connection.execute(delete(NODES).where(NODES.c.id == node.id))
            self.remember(connection, node.id, node.identity, "deleted", who, node.options)

    def provide(self, identity: Identity, default: Options | None) -> Options | None:
        """Return what a machine that asks is to boot; None: it waits, from now on in the list.

        `default` is for machines without a row. Raises `ConflictError`, and `InputError` for a
        row that can't be read.
        """
        try:
            return self.provide_once(identity, default)
        except RaceError:  # the same machine has asked twice at once
            return self.provide_once(identity, default)

    def provide_once(self, identity: Identity, default: Options | None) -> Options | None:
        """Do it in one transaction."""
        with self.changing() as connection:
            node = find_node(connection, identity)
            if node is None and default is not None:
                self.remember(connection, 0, identity, "given", SELF, default)
                return default
            if node is None:
                self.drop_waiting(connection)
                self.add(connection, identity, None, "waiting", SELF)
                return None
            if node.fault:
                raise InputError("options", node.trouble, hint="give the node its options again")
            names = Identity(**(identity.names | node.identity.names))
            change = update(NODES).where(NODES.c.id == node.id).values(asked_s=self.clock())
            if node.options is None:
                change = change.values(names.names)
            else:  # whoever knows its MAC address could add names that the machine contradicts
                self.remember(connection, node.id, names, "given", SELF, node.options)
            connection.execute(change)
            return node.options

    def drop_waiting(self, connection: Connection) -> None:
        """Make room in the list of those who wait: the one that asked longest ago goes.

        Its history goes too: everybody can wait here under any name, so it would grow without end.
        """
        waiting = NODES.c.options.is_(None)
        count = select(func.count()).select_from(NODES).where(waiting)
        if connection.execute(count).scalar_one() >= KEPT_WAITING:
            order = select(NODES.c.id).where(waiting).order_by(NODES.c.asked_s).limit(1)
            oldest = connection.execute(order).scalar()
            connection.execute(delete(NODES).where(NODES.c.id == oldest))
            connection.execute(delete(HISTORY).where(HISTORY.c.node == oldest))

    def add(
        self,
        connection: Connection,
        identity: Identity,
        options: Options | None,
        event: str,
        who: str,
    ) -> None:
        """Add a row."""
        now_s = self.clock()
        row: dict[str, object] = {**identity.names, "created_s": now_s}
        row |= {"asked_s": now_s} if options is None else {"options": dump(options)}
        made = connection.execute(insert(NODES).values(row)).inserted_primary_key
        assert made is not None
        self.remember(connection, made[0], identity, event, who, options)

    def remember(
        self,
        connection: Connection,
        node: int,
        identity: Identity,
        event: str,
        who: str,
        options: Options | None,
    ) -> None:
        """Add to the history of a node, and forget what is too old; node 0 is every unknown one."""
        row = {"node": node, "names": str(identity), "at_s": self.clock(), "event": event}
        row |= {"who": who, "options": dump(options) if options else None}
        connection.execute(insert(HISTORY).values(row))
        kept = select(HISTORY.c.id).where(HISTORY.c.node == node).order_by(HISTORY.c.id.desc())
        edge = connection.execute(
            kept.offset(KEPT_EVENTS if node else KEPT_EVENTS_OF_UNKNOWN).limit(1)
        ).scalar()
        if edge is not None:
            old = (HISTORY.c.node == node, HISTORY.c.id <= edge)
            connection.execute(delete(HISTORY).where(*old))

    def history(self, node: int) -> list[Event]:
        """Return what happened to a node, the last first; 0: to those that got the default."""
        chosen = select(HISTORY).where(HISTORY.c.node == node).order_by(HISTORY.c.id.desc())
        with self.database.reading() as connection:
            return [make_event(row) for row in connection.execute(chosen)]


def get_node(connection: Connection, identity: Identity) -> Node:
    """Return the row of a machine. Raises `NotThereError` and `ConflictError`."""
    node = find_node(connection, identity)
    if node is None:
        raise NotThereError(f"there is no node {identity}")
    return node


def find_node(connection: Connection, identity: Identity) -> Node | None:
    """Return the row that has a name of `identity`, or None. Raises `ConflictError`."""
    same = [NODES.c[kind] == name for kind, name in identity.names.items()]
    rows = connection.execute(select(NODES).where(or_(*same)).order_by(NODES.c.id)).all()
    nodes = [make_node(row) for row in rows]
    if len(nodes) > 1:
        both = " and the node ".join(str(node.identity) for node in nodes)
        raise ConflictError(f"{identity} belongs to the node {both}")
    if not nodes:
        return None
    names = nodes[0].identity.names
    wrong = {k: name for k, name in identity.names.items() if names.get(k, name) != name}
    if wrong:
        raise ConflictError(f"{identity} contradicts the node {nodes[0].identity}")
    return nodes[0]


def dump(options: Options) -> str:
    """Return options as canonical JSON."""
    return json.dumps(options.as_mapping(), sort_keys=True, separators=(",", ":"))


def make_node(row: Any) -> Node:
    """Return what a row says."""
    options, fault = None, ""
    try:
        options = None if row.options is None else parse_json(row.options)
    except (InputError, NotThereError) as error:
        fault = error.message
    identity = Identity(row.mac or "", row.uuid or "", row.serial or "")
    return Node(row.id, identity, options, row.created_s, row.asked_s, fault)


def make_event(row: Any) -> Event:
    """Return what a row of the history says."""
    options = None if row.options is None else json.loads(row.options)
    return Event(row.at_s, row.event, row.who, row.names, options)
