"""Our words for tables are those of `dmidecode`: random tables, read by both."""

import random
from pathlib import Path

import pytest

from core.capacity.dmi.document import make_sections
from core.capacity.dmi.table import Version, parse_table
from core.capacity.dmi.types import READERS
from tests.helpers.core.dmidecode import END, parse_text, random_structure, run_dmidecode
from tests.helpers.needs import need_tool

KINDS = [*(kind for kind in READERS if kind != 127), 99, 200]
VERSIONS = [(2, 2), (2, 4), (2, 8), (3, 3)]
# What we leave out (the list of features and sockets), name otherwise, or know better:
# `dmidecode` takes a range that ends before it begins modulo 4 GiB, and some bits for no feature.
OTHERWISE = {
    (3, "Contained Elements"),
    *((4, name) for name in ("Characteristics", "Family", "Flags", "Signature", "Upgrade")),
    (17, "Memory Operating Mode Capability"),
    (19, "Range Size"),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_random_tables_are_read_as_by_dmidecode(version: tuple[int, int], tmp_path: Path) -> None:
    program = need_tool("dmidecode")
    chance = random.Random(version[0] * 10 + version[1])
    for _ in range(20):
        kinds = [chance.choice(KINDS) for _ in range(40)]
        pieces = [random_structure(chance, kind, place) for place, kind in enumerate(kinds)]
        table = b"".join(pieces) + END
        theirs = parse_text(run_dmidecode(program, table, tmp_path, version))
        ours = make_sections(parse_table(table, Version(*version)))
        for mine, section in zip(ours, theirs, strict=True):
            title, properties = section["parts"][0]
            assert mine.title == title
            words = {
                name: value if isinstance(value, str) else list(value) or ""
                for name, value in mine.properties.items()
            }
            for name in {*properties, *words}:
                if (mine.kind, name) not in OTHERWISE:
                    assert words.get(name) == properties.get(name), (mine, name)
