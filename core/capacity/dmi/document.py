"""The description in upstream's form: sections with the words that `dmidecode` prints. No I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.capacity.dmi.names import section_name
from core.capacity.dmi.table import NO_STRING, Structure, Version
from core.capacity.dmi.types import describe

DECODER = "Zero-OS"
BASEBOARD = 2
SERIAL = "Serial Number"

Value = str | Sequence[str]


@dataclass(frozen=True)
class Section:
    """One structure in words; a value is a text, or a list of them."""

    handle: int
    kind: int
    length: int
    title: str
    properties: Mapping[str, Value]

    def to_json(self) -> dict[str, Any]:
        """Return it in upstream's form."""
        part: dict[str, Any] = {"title": self.title}
        if self.properties:
            part["properties"] = {
                name: {"value": value} if isinstance(value, str) else _list(value)
                for name, value in self.properties.items()
            }
        return {
            "handleline": f"Handle 0x{self.handle:04X}, DMI type {self.kind}, {self.length} bytes",
            "typestr": section_name(self.kind),
            "typenum": self.kind,
            "subsections": [part],
        }


def _list(items: Sequence[str]) -> dict[str, Any]:
    return {"value": "", "items": list(items)} if items else {"value": ""}


def make_sections(structures: Sequence[Structure]) -> list[Section]:
    """Return the structures in words, in the order of the table."""
    return [
        Section(found.handle, found.kind, found.length, *describe(found)) for found in structures
    ]


def make_document(sections: Sequence[Section], version: Version) -> dict[str, Any]:
    """Return the whole description in upstream's form."""
    aggregator = f"SMBIOS {version.major}.{version.minor}" if version.major else "unknown"
    return {
        "tooling": {"aggregator": aggregator, "decoder": DECODER},
        "sections": [section.to_json() for section in sections],
    }


def board_serial(sections: Sequence[Section]) -> str:
    """Return the serial number of the first base board, or "".

    Upstream takes the third section, whatever that is, and fails if there are exactly two.
    """
    for section in sections:
        if section.kind == BASEBOARD:
            serial = section.properties.get(SERIAL, "")
            return serial if isinstance(serial, str) and serial != NO_STRING else ""
    return ""
