"""The document has upstream's form: its recorded cases, and the tables of a QEMU machine."""

import json
from pathlib import Path
from typing import Any

import pytest

from core.capacity.dmi.document import make_document, make_sections
from core.capacity.dmi.table import Version, parse_table
from tests.helpers.core.dmidecode import parse_text, structure
from tests.helpers.samples import samples_dir

HERE = Path(__file__).parent


@pytest.fixture
def cases() -> list[dict[str, Any]]:
    """Return what upstream's code made of texts of `dmidecode`."""
    recorded = json.loads((samples_dir() / "capacity" / "node.json").read_text())["dmi"]
    return [case for case in recorded if "output" in case]


def test_the_test_s_reader_of_text_is_upstream_s(cases: list[dict[str, Any]]) -> None:
    assert len(cases) >= 5
    for case in cases:
        compare(parse_text(case["input"]), case["output"]["sections"])


def compare(found: list[dict[str, Any]], sections: list[dict[str, Any]]) -> None:
    for mine, theirs in zip(found, sections, strict=True):
        assert mine["handleline"] == theirs["handleline"]
        (title, properties), part = mine["parts"][0], theirs["subsections"][0]
        assert title == part["title"]
        assert properties == {
            name: value.get("items") or value["value"] for name, value in part["properties"].items()
        }


def test_a_recorded_document_comes_out_of_a_table_that_says_the_same(
    cases: list[dict[str, Any]],
) -> None:
    features = b"\x08" + bytes(7) + b"\0\4"
    table = (
        structure(0, 0, b"\1\2\0\0\3\0" + features + bytes(4), b"SeaBIOS", b"1.16.2", b"d")
        + structure(1, 0x100, b"\1\2\0\0" + bytes(19), b"QEMU", b"Standard PC")
        + structure(2, 0x200, b"\1\0\0\2" + bytes(7), b"ACME", b"SN-0042")
    )
    document = make_document(make_sections(parse_table(table)), Version(2, 8))
    for mine, theirs in zip(document["sections"], cases[0]["output"]["sections"], strict=True):
        for name in ("handleline", "typestr", "typenum"):
            assert mine[name] == theirs[name]
        wanted = theirs["subsections"][0]
        assert mine["subsections"][0]["title"] == wanted["title"]
        properties = mine["subsections"][0]["properties"]
        wanted["properties"].pop("UUID", None)
        assert {name: properties[name] for name in wanted["properties"]} == wanted["properties"]


def test_a_vendor_s_own_section_is_shown_as_bytes_and_strings() -> None:
    document = make_document(
        make_sections(parse_table(structure(221, 0xDD, b"", b"Reference Code"))), Version(0, 0)
    )
    (section,) = document["sections"]
    assert document["tooling"]["aggregator"] == "unknown"
    assert (section["typestr"], section["typenum"]) == ("Custom Type 221", 221)
    assert section["subsections"] == [
        {
            "title": "OEM-specific Type",
            "properties": {
                "Header and Data": {"value": "", "items": ["DD 04 DD 00"]},
                "Strings": {"value": "", "items": ["Reference Code"]},
            },
        }
    ]


def test_a_machine_of_qemu_is_described() -> None:
    """`qemu.json` was made of the same machine's `dmidecode`, without its socket's name."""
    table = (HERE / "qemu.dmi").read_bytes()
    document = make_document(make_sections(parse_table(table, Version(2, 8))), Version(2, 8))
    assert document == json.loads((HERE / "qemu.json").read_text())
