"""Hostile tables of firmware: nothing but a list of structures comes out of them."""

import random

import pytest

from core.capacity.dmi.document import board_serial, make_document, make_sections
from core.capacity.dmi.table import Structure, Version, parse_table, parse_version
from tests.helpers.core.dmidecode import END, entry_point, random_structure, structure

SYSTEM = structure(1, 0x100, b"\1\2\0\3", b"ACME", b"Box", b"SYS-1")


def test_structures_have_numbers_and_strings() -> None:
    (found, end) = parse_table(SYSTEM + END)
    assert (found.kind, found.handle, found.length) == (1, 0x100, 8)
    assert [found.text(at) for at in (4, 5, 6, 7)] == ["ACME", "Box", "Not Specified", "SYS-1"]
    assert end.kind == 127


def test_what_follows_the_end_is_nothing() -> None:
    assert len(parse_table(END + SYSTEM)) == 1


def test_a_string_that_is_not_there_is_told() -> None:
    assert Structure(1, 0, b"\1\5\0\0\7", ("one",)).text(4) == "<BAD INDEX>"


def test_strings_are_printable() -> None:
    (found,) = parse_table(structure(11, 0, b"\1", b"  a\x1b[2Jb\xff "))
    assert found.strings == ("a.[2Jb.",)


@pytest.mark.parametrize(
    "table",
    [
        b"",
        b"\1",
        b"\1\3\0\0\0\0",
        b"\1\0\0\0\0\0",
        b"\1\xff\0\0",
        b"\1\4\0\0",
        b"\1\5\0\0\1never ended",
        b"\0" * 100,
        b"\xff" * 1000,
    ],
)
def test_a_broken_table_ends_where_it_breaks(table: bytes) -> None:
    whole = make_sections(parse_table(SYSTEM + table))
    assert whole[0].properties["Serial Number"] == "SYS-1"
    assert len(whole) <= 2


def test_any_bytes_are_read_without_an_error() -> None:
    chance = random.Random(16)
    for _ in range(300):
        table = chance.randbytes(chance.randrange(2000))
        make_document(make_sections(parse_table(table)), Version(2, 8))
        pieces = [random_structure(chance, chance.randrange(256), 0) for _ in range(20)]
        table = b"".join(pieces)[: chance.randrange(3000)]
        document = make_document(make_sections(parse_table(table, Version(3, 4))), Version(3, 4))
        assert len(document["sections"]) <= 20


def test_a_table_without_end_is_cut_off() -> None:
    assert len(parse_table(structure(1, 0, b"") * 500_000)) == 8192


@pytest.mark.parametrize("version", [(2, 4), (2, 8)])
def test_the_entry_point_has_the_version(version: tuple[int, int]) -> None:
    assert parse_version(entry_point(b"", version)) == version
    newer = b"_SM3_\0\x18\3\6\0\1\0" + bytes(12)
    assert parse_version(newer) == (3, 6)


@pytest.mark.parametrize("data", [b"", b"_SM_", b"_SM3_\0\0", b"_DMI_" + bytes(40)])
def test_another_entry_point_has_none(data: bytes) -> None:
    assert parse_version(data) == (0, 0)


def test_the_board_s_serial_number_is_not_the_third_section_s() -> None:
    """Upstream takes the third section: here the processor's."""
    board = structure(2, 2, b"\1\2\0\3", b"ACME", b"Board", b"SN-0042")
    processor = structure(4, 3, bytes(22))
    assert board_serial(make_sections(parse_table(processor + board + SYSTEM + END))) == "SN-0042"
    assert board_serial(make_sections(parse_table(processor + SYSTEM + SYSTEM + END))) == ""


def test_two_sections_are_no_reason_to_fail() -> None:
    """Upstream's process panics."""
    assert board_serial(make_sections(parse_table(SYSTEM + SYSTEM))) == ""
    assert board_serial([]) == ""


def test_a_serial_number_that_is_not_specified_is_none() -> None:
    board = structure(2, 2, b"\1\0\0\0", b"ACME")
    assert board_serial(make_sections(parse_table(board))) == ""
