"""Reads the log: its head, its entries, and proofs."""

import time
from collections.abc import Callable, Sequence

from sqlalchemy import Connection, select, update

from registry.errors import AbsentError, ConflictError, DamagedError, NotAllowedError, RegistryError
from registry.log.entries import Entry, read_entries
from registry.log.merkle import prove_consistency, prove_inclusion, root_of
from registry.log.notes import (
    COSIGNATURE,
    ED25519,
    Head,
    Verifier,
    find_signature,
    parse_head,
    sign_head,
    split_note,
)
from registry.log.tiles import Tiles
from registry.state.key import RegistryKey
from registry.state.tables import COSIGNATURES, LOG_HEAD
from serving.database import Database, insert_new

CLOCK_S = 60.0


class Log:
    """The log of one registry; `witnesses` are those whose cosignatures are kept."""

    def __init__(
        self,
        database: Database,
        key: RegistryKey,
        origin: str,
        witnesses: Sequence[Verifier] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.database = database
        self.clock = clock
        self.key = key
        self.verifier = Verifier(origin, ED25519, key.public)
        self.witnesses = witnesses

    def head(self) -> Head:
        """Return the head."""
        with self.database.reading() as connection:
            return self.read_head(connection)

    def find_clock_fault(self) -> str | None:
        """Return what is wrong if this machine's clock is behind the log, which never goes back."""
        with self.database.reading() as connection:
            at_s: float = connection.execute(select(LOG_HEAD.c.at_s)).scalar_one()
        behind_s = at_s - self.clock()
        if behind_s <= CLOCK_S:
            return None
        return f"the clock is {behind_s:.0f} s behind the log: until then reports do not count"

    def read_head(self, connection: Connection) -> Head:
        """Return the head that a transaction sees."""
        row = connection.execute(select(LOG_HEAD.c.size, LOG_HEAD.c.root)).one()
        return Head(self.verifier.name, row.size, bytes(row.root))

    def sign(self, head: Head) -> str:
        """Return a head as a signed note."""
        return sign_head(head, self.verifier, self.key.sign)

    def entries(self, start: int, count: int) -> list[Entry]:
        """Return entries from a position on, a page at most."""
        with self.database.reading() as connection:
            return read_entries(connection, start, count)

    def prove_inclusion(self, position: int, size: int | None) -> tuple[Head, bytes, list[bytes]]:
        """Return a head, a leaf's hash, and the path from it. Raises `AbsentError`."""
        with self.database.reading() as connection:
            tiles, head = Tiles(connection), self.head_at(connection, size)
            if position >= head.size:
                raise AbsentError(f"the log of {head.size} entries has no entry {position}")
            path = prove_inclusion(tiles.read, position, head.size)
            return head, tiles.read(0, position), path

    def prove_consistency(self, first: int, size: int | None) -> tuple[Head, list[bytes]]:
        """Return a head, and the proof that the log of `first` entries begins its log."""
        with self.database.reading() as connection:
            tiles, head = Tiles(connection), self.head_at(connection, size)
            if first > head.size:
                raise AbsentError(f"the log has {head.size} entries, not {first}")
            return head, prove_consistency(tiles.read, first, head.size)

    def head_at(self, connection: Connection, size: int | None) -> Head:
        """Return the head when the log had `size` entries; None is now. Raises `AbsentError`."""
        head = self.read_head(connection)
        if size is None or size == head.size:
            return head
        if size > head.size:
            raise AbsentError(f"the log has {head.size} entries, not {size}")
        return Head(head.origin, size, root_of(Tiles(connection).read, 0, size))

    def check_earlier(self, note: str) -> None:
        """Raise `RegistryError` unless the log begins with that of an earlier signed head."""
        text, lines = split_note(note)
        head = parse_head(text)
        if find_signature(text, lines, self.verifier) is None:
            raise RegistryError("the head is not signed by this registry")
        with self.database.reading() as connection:
            if self.head_at(connection, head.size).root != head.root:
                raise DamagedError(f"the first {head.size} entries are not those of the head")

    def keep_cosignature(self, note: str) -> Verifier:
        """Keep a head that a witness has cosigned; return who. Raises `RegistryError`."""
        text, lines = split_note(note)
        head = parse_head(text)
        found = [(key, find_signature(text, lines, key)) for key in self.witnesses]
        signed = [(key, line) for key, line in found if line and key.kind == COSIGNATURE]
        if not signed:
            raise NotAllowedError("no witness that this registry knows has cosigned the head")
        if find_signature(text, lines, self.verifier) is None:
            raise RegistryError("the head is not signed by this registry")
        (key, line), *_ = signed
        with self.database.writing() as connection:
            if self.head_at(connection, head.size) != head:
                raise ConflictError("the head is not one of this log")
            self.write_cosignature(connection, key, head, line or "")
        return key

    def write_cosignature(
        self, connection: Connection, key: Verifier, head: Head, line: str
    ) -> None:
        """Keep the newest cosignature of a witness."""
        row = {"witness": str(key), "size": head.size, "note": self.sign(head), "line": line}
        if insert_new(connection, COSIGNATURES, row):
            return
        connection.execute(
            update(COSIGNATURES)
            .where(COSIGNATURES.c.witness == str(key), COSIGNATURES.c.size <= head.size)
            .values(size=head.size, note=row["note"], line=line)
        )

    def cosigned(self) -> str | None:
        """Return the newest head that a witness has cosigned, with all cosignatures of it."""
        order = select(COSIGNATURES).order_by(COSIGNATURES.c.size.desc(), COSIGNATURES.c.witness)
        with self.database.reading() as connection:
            rows = connection.execute(order).all()
        known = {str(key) for key in self.witnesses}
        rows = [row for row in rows if row.witness in known]
        if not rows:
            return None
        note: str = rows[0].note
        return note + "".join(row.line for row in rows if row.size == rows[0].size)
