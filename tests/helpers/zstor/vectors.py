"""What upstream's own code answered, kept outside the repository."""

import json
from typing import Any

from tests.helpers.samples import samples_dir


def load_vectors(name: str) -> Any:
    """Return a recording; skip the test if it is absent."""
    return json.loads((samples_dir() / "capacity" / f"zstor_{name}.json").read_text())


def made_bytes(seed: int, count: int) -> bytes:
    """Return the recording's pseudo-random bytes (its `input_rule`)."""
    out = bytearray()
    for _ in range(count):
        seed = (seed * 1664525 + 1013904223) % 2**32
        out.append(seed >> 24)
    return bytes(out)
