"""The values of a comparison."""

from dataclasses import dataclass, field
from typing import Any

ADDED, REMOVED, CHANGED = "added", "removed", "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """One property that differs; `lines` show where, if it is long."""

    field: str
    old: str
    new: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that only one side has, or that differs.

    `kind` is "manifest", "package", "module", "file", "section" (of a UKI) or "artefact".
    """

    kind: str
    name: str
    what: str
    changes: tuple[Change, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        changes = [
            {"field": c.field, "old": c.old, "new": c.new, "lines": list(c.lines)}
            for c in self.changes
        ]
        return {"kind": self.kind, "name": self.name, "what": self.what, "changes": changes}


@dataclass(frozen=True, slots=True)
class Item:
    """An entry of an image; `content` of a link is its target."""

    mode: int
    uid: int
    gid: int
    mtime: int
    device: tuple[int, int]
    content: bytes


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two releases, as far as `path` has it.

    `facts` are the manifest's; `sections` are those of its UKI, or of itself; `artefacts` are its
    files whole.
    """

    facts: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    sections: dict[str, bytes] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    artefacts: dict[str, bytes] = field(default_factory=dict)
