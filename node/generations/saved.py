"""What a node remembers of its generations in /run, so for as long as it is not restarted."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from common.files import write_atomic
from node.flists.model import FLISTS, Flist, Wanted
from node.generations.machine import Event, Kind, Record, State, abandon

SAVED = FLISTS.parent / "generations.json"
INTERRUPTED = "bring-up ended during the update"


@dataclass(frozen=True)
class Saved:
    """The record, what runs, and what ran before it, by digest."""

    record: Record
    running: tuple[Wanted, ...]
    before: tuple[Wanted, ...] = ()


def by_digest(flists: Mapping[str, Flist]) -> tuple[Wanted, ...]:
    """Return how the same flists are asked for again."""
    return tuple(
        Wanted(flist.role, flist.name, flist.sha256, flist.size, flist.version)
        for flist in flists.values()
    )


def save(saved: Saved, path: Path = SAVED) -> None:
    """Remember it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(asdict(saved)).encode(), mode=0o600)


def load(path: Path = SAVED) -> Saved | None:
    """Return what was remembered, None if nothing was.

    An update under way then has failed: bring-up has ended in it, and only the old set is known to
    be good. One of which nothing has run yet is not to blame, and may be tried again.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    record = Record(**value["record"] | {"state": State(value["record"]["state"])})
    if record.state not in (State.IDLE, State.FETCHING):
        record = replace(record, bad=record.target, bad_sequence=record.target_sequence)
    if record.state != State.IDLE:
        record, _ = abandon(record, Event(Kind.FAILED, reason=INTERRUPTED))
    running, before = (tuple(Wanted(**row) for row in value[key]) for key in ("running", "before"))
    return Saved(record, running, before)
