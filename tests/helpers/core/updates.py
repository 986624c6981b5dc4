"""What bring-up answers about updates, made of its own classes, so that the keys are its own."""

from dataclasses import asdict
from typing import Any

from common.releases.waves import WHOLE, Waves
from node.generations.held import Held
from node.generations.machine import Record

PUBLISHED = 1_700_000_000
HELD = Held("0.2.0", sequence=7, waves=Waves(PUBLISHED, ((WHOLE, 0),)), turn=PUBLISHED + 3600)


def update_row(**record: Any) -> dict[str, Any]:
    """Return `update` of the status."""
    row = asdict(Record(**({"running": "0.1.0"} | record)))
    return {name: value for name, value in row.items() if name not in ("generation", "is_undo")}


def look_answer(held: Held = HELD, **record: Any) -> dict[str, Any]:
    """Return the answer to `update.look`."""
    return {"held": held.rows(), "running": update_row(**record), "kernel_changes": True}
