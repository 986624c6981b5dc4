"""What a node remembers of its generations in /run, so for as long as it is not restarted."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from common.files import write_atomic
from node.flists.model import FLISTS, Wanted
from node.generations.machine import Record, State

SAVED = FLISTS.parent / "generations.json"
INTERRUPTED = "bring-up ended during the update"


@dataclass(frozen=True)
class Saved:
    """The record, what runs, and what ran before it, by digest."""

    record: Record
    running: tuple[Wanted, ...]
    before: tuple[Wanted, ...] = ()


def save(saved: Saved, path: Path = SAVED) -> None:
    """Remember it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, json.dumps(asdict(saved)).encode(), mode=0o600)


def load(path: Path = SAVED) -> Saved | None:
    """Return what was remembered, None if nothing was.

    An update under way then has failed: bring-up has ended in it, and only the old set is known to
    be good.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    record = Record(**value["record"] | {"state": State(value["record"]["state"])})
    if record.state != State.IDLE:
        record = replace(
            record,
            state=State.IDLE,
            bad=record.target,
            bad_sequence=record.target_sequence,
            reason=INTERRUPTED,
            target="",
            is_undo=False,
        )
    running, before = (tuple(Wanted(**row) for row in value[key]) for key in ("running", "before"))
    return Saved(record, running, before)
