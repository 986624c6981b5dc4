"""What each part of a release costs: a tree of sizes, raw and compressed.

A compressed part of an initramfs has one size for all of its files. Each file's share is estimated
by compressing it alone, and the shares add up to the real size.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

from image.errors import ImageError
from image.recipe.plan import STDLIB
from image.recipe.python import NODE_PACKAGES
from image.release.listing import Part, read_parts

FAST_LEVEL = 3
KERNEL = "vmlinuz"
# The beginning of a path, and the group and how many of the following folders name its place there.
GROUPS = (
    ("usr/lib/modules/*/kernel/", ("kernel modules",), 2),
    ("usr/lib/modules/*/", ("kernel modules", "indexes"), 0),
    ("usr/lib/firmware/", ("firmware",), 1),
    ("kernel/x86/microcode/", ("microcode",), 1),
    (f"{STDLIB}/lib-dynload/", ("Python", "extension modules"), 0),
    (f"{STDLIB}/", ("Python", "standard library"), 0),
    ("usr/bin/python3", ("Python", "interpreter"), 0),
    ("usr/lib/zero-os/", ("Python packages",), 1),
    ("usr/lib/x86_64-linux-gnu/", ("libraries",), 1),
    ("etc/ssl/", ("certificates",), 0),
)


@dataclass(slots=True)
class Cost:
    """The size of a part, and of what it consists of."""

    raw: int = 0
    packed: float = 0.0
    below: dict[str, "Cost"] = field(default_factory=dict)

    def add(self, place: tuple[str, ...], raw: int, packed: float) -> None:
        """Add a file at `place` to this part and to those below it."""
        self.raw += raw
        self.packed += packed
        if place:
            self.below.setdefault(place[0], Cost()).add(place[1:], raw, packed)


def measure_release(path: Path) -> Cost:
    """Return the cost of a release in a folder, or of one initramfs."""
    total = Cost()
    if path.is_dir():
        try:
            size = (path / KERNEL).stat().st_size
        except OSError as error:
            raise ImageError(f"cannot read {path / KERNEL}: {error.strerror}") from error
        total.add(("kernel",), size, size)
    for part in read_parts(path):
        measure_part(part, total)
    return total


def measure_part(part: Part, total: Cost) -> None:
    """Add the files of one part of an initramfs to `total`."""
    compressor = zstandard.ZstdCompressor(level=FAST_LEVEL)
    rows = [
        (place_of(member.name), len(member.content), len(compressor.compress(member.content)))
        for member in part.members
    ]
    scale = part.packed_bytes / max(1, sum(alone for _, _, alone in rows))
    for place, raw, alone in rows:
        total.add(place, raw, alone * scale)


def place_of(path: str) -> tuple[str, ...]:
    """Return where a file is in the tree of sizes."""
    parts = path.split("/")
    for start, group, depth in GROUPS:
        want = start.split("/")
        near = all(w in ("*", p) for w, p in zip(want[:-1], parts, strict=False))
        if len(parts) < len(want) or not near or not parts[len(want) - 1].startswith(want[-1]):
            continue
        names = parts[len(want) - 1 :]
        if group == ("Python packages",) and names[0] in NODE_PACKAGES:
            return ("Zero-OS", names[0])
        return (*group, *(names[:-1] or names)[:depth])
    return ("other",)


def describe_cost(cost: Cost) -> dict[str, Any]:
    """Return a tree of sizes as a JSON object."""
    value: dict[str, Any] = {"raw": cost.raw, "packed": round(cost.packed)}
    if cost.below:
        value["parts"] = {name: describe_cost(part) for name, part in largest(cost)}
    return value


def render_cost(cost: Cost) -> list[str]:
    """Return a tree of sizes as lines for people."""
    rows = [("compressed MB", "raw MB", ""), *_rows("release", cost, "", "")]
    return [f"{packed:>13} {raw:>9}  {name}\n" for packed, raw, name in rows]


def largest(cost: Cost) -> list[tuple[str, Cost]]:
    """Return the parts of `cost`, the largest first."""
    return sorted(cost.below.items(), key=lambda item: (-item[1].packed, item[0]))


def _rows(name: str, cost: Cost, lead: str, below: str) -> list[tuple[str, str, str]]:
    rows = [(f"{cost.packed / 1e6:.2f}", f"{cost.raw / 1e6:.2f}", f"{lead}{name}")]
    parts = largest(cost)
    for number, (part, one) in enumerate(parts):
        is_last = number == len(parts) - 1
        mark, rest = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
        rows += _rows(part, one, below + mark, below + rest)
    return rows
