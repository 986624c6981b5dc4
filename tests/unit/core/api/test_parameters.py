"""The command line: the farm's key, and what is a secret in it."""

import pytest

from core.api.farm import NoKeyError, find_farm_key, parse_owner
from core.api.parameters import mask, mask_command_line, parse_parameters, secrets_of
from core.api.places import Places

KEY = "A" * 43
LINE = "farmer_id=1 enrol=1.tok3n secret='a b' my-password=x1 hub=http://me:pw@hub.example quiet"


def test_the_farms_key() -> None:
    assert find_farm_key(parse_parameters(f"farmer_id=1 farm.key={KEY}")) == bytes(32)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "belongs to no farm"),
        (f"farmer_id=x farm.key={KEY}", "belongs to no farm"),
        ("farmer_id=1", "was not told"),
        ("farmer_id=1 farm.key=x registry=https://registry.example", "farm.key= is wrong"),
        ("farmer_id=1 registry=http://registry.example", "not on https"),
    ],
)
def test_nodes_without_a_key_say_why(line: str, reason: str) -> None:
    with pytest.raises(NoKeyError, match=reason) as caught:
        find_farm_key(parse_parameters(line))
    assert caught.value.is_final


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"farm": 1}', b'{"farm": 1, "owner": "AAAA"}', b'{"owner": 1, "farm": 1}'],
)
def test_answers_of_a_registry_that_are_none(data: bytes) -> None:
    with pytest.raises(NoKeyError) as caught:
        parse_owner(data, 1)
    assert not caught.value.is_final


def test_the_owner_of_another_farm_is_not_taken() -> None:
    data = b'{"farm": 2, "owner": "' + b"A" * 43 + b'="}'
    assert parse_owner(data, 2) == bytes(32)
    with pytest.raises(NoKeyError):
        parse_owner(data, 1)


@pytest.mark.parametrize(
    ("text", "farm"), [("7", 7), ("0" * 5000 + "7", 7), ("0", 0), ("4294967296", 0), ("", 0)]
)
def test_a_farms_number_is_read_as_bring_up_reads_it(text: str, farm: int) -> None:
    assert parse_parameters(f"farmer_id={text}").farm == farm


def test_secrets_are_masked() -> None:
    secrets = secrets_of(LINE)
    assert secrets == {"1.tok3n", "a b", "x1", "me:pw"}
    shown = mask_command_line(LINE)
    assert shown == (
        "farmer_id=1 enrol=... secret=... my-password=... hub=http://...@hub.example quiet"
    )
    assert mask("said 1.tok3n to https://u:p@h", secrets) == "said ... to https://...@h"


def test_places_are_for_machines() -> None:
    places = Places(in_all=3, from_one=2)
    assert places.take("2001:db8::1") and places.take("2001:db8::2")
    assert not places.take("2001:db8::3")  # the same /64
    assert places.take("::ffff:10.0.0.1")
    assert not places.take("10.0.0.2")  # there are three
    places.give_back("10.0.0.1")
    assert places.take("10.0.0.2")
