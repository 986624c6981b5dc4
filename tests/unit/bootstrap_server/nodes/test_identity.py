"""One machine, one name: canonical forms of MAC addresses, UUIDs and serial numbers."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bootstrap_server.errors import InputError
from bootstrap_server.nodes.identity import (
    FILLED_IN_BY_NOBODY,
    Identity,
    label_of,
    parse_identity,
    parse_mac,
    parse_serial,
    parse_uuid,
)

CARDS = st.binary(min_size=6, max_size=6).filter(lambda b: any(b) and not b[0] & 1)
CASES = st.lists(st.booleans(), min_size=40, max_size=40)


def mix_case(text: str, flags: list[bool]) -> str:
    """Return `text` with some letters in capitals."""
    pairs = zip(text, flags, strict=False)
    return "".join(c.upper() if flag else c for c, flag in pairs)


@given(CARDS, st.sampled_from([":", "-", ".", ""]), CASES)
def test_every_way_to_write_a_mac_gives_the_same(card: bytes, mark: str, flags: list[bool]) -> None:
    size = 4 if mark == "." else 2
    digits = card.hex()
    parts = [digits[at : at + size] for at in range(0, 12, size)]
    found = parse_mac(mix_case(mark.join(parts), flags))
    assert found == card.hex(":")
    assert parse_mac(found) == found


@given(st.uuids(), st.booleans(), CASES)
def test_every_way_to_write_a_uuid_gives_the_same(
    number: uuid.UUID, has_hyphens: bool, flags: list[bool]
) -> None:
    written = mix_case(str(number) if has_hyphens else number.hex, flags)
    found = parse_uuid(written)
    assert found == (str(number) if str(number) not in FILLED_IN_BY_NOBODY else "")


@given(st.text(max_size=80))
def test_any_text_is_a_canonical_serial_number_or_refused(text: str) -> None:
    try:
        found = parse_serial(text)
    except InputError:
        return
    assert found == "" or parse_serial(found) == found
    assert found.isascii() and found.isprintable() and found == found.strip()


@given(st.text(max_size=40))
def test_any_text_is_a_canonical_mac_or_refused(text: str) -> None:
    try:
        found = parse_mac(text)
    except InputError:
        return
    assert len(found) == 17 and parse_mac(found) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "52:54:00:12:34",
        "52:54:00:12:34:56:78",
        "52:54-00:12:34:56",
        "5254.0012.345",
        "52:54:00:12:34:5g",
        " 52:54:00:12:34:56",
        "52:54:00:12:34:56\n",
        "00:00:00:00:00:00",
        "ff:ff:ff:ff:ff:ff",
        "01:00:5e:00:00:01",
        "\u06652:54:00:12:34:56",
    ],
)
def test_what_is_no_mac_address_of_a_card(text: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_mac(text)
    assert caught.value.field == "mac"


@pytest.mark.parametrize("text", ["", "x", "4c4c4544-0042-3510-8053b4c04f4d3233", "{}", "4" * 33])
def test_what_is_no_uuid(text: str) -> None:
    with pytest.raises(InputError):
        parse_uuid(text)


@pytest.mark.parametrize("text", ["a\tb", "é", "x" * 65, "a\nb", "\x00"])
def test_what_is_no_serial_number(text: str) -> None:
    with pytest.raises(InputError):
        parse_serial(text)


def test_what_firmware_has_where_nobody_wrote_anything_is_no_name() -> None:
    assert parse_uuid("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF") == ""
    assert parse_uuid("03000200-0400-0500-0006-000700080009") == ""
    assert parse_serial(" To be filled  by O.E.M. ") == ""
    assert parse_identity("52-54-00-12-34-56", "0" * 32, "Default string") == Identity(
        "52:54:00:12:34:56"
    )


def test_a_machine_is_known_by_its_uuid_else_by_its_card() -> None:
    number = "4c4c4544-0042-3510-8053-b4c04f4d3233"
    both = parse_identity("525400123456", number.upper(), "ab  c")
    assert both.key == f"uuid:{number}" and both.serial == "AB C"
    assert parse_identity("525400123456").key == "mac:52:54:00:12:34:56"
    assert len(label_of(both.key)) == 12 and label_of(both.key) != label_of("mac:x")
