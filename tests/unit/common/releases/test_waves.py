"""When which farms take a release."""

from typing import Any

import pytest

from common.releases.waves import WHOLE, Waves, parse_waves, place_of
from common.tuf.errors import MalformedError

DAY_S = 86_400
VALUE = {"published": 1000, "steps": [[10_000, 0], [100_000, DAY_S], [WHOLE, 3 * DAY_S]]}


def test_farms_take_it_in_waves() -> None:
    waves = parse_waves(VALUE)
    assert waves is not None
    turns = [waves.turn_of("1.0", farm) - 1000 for farm in range(10_000)]
    assert 50 < turns.count(0) < 150
    assert 700 < turns.count(DAY_S) < 1100
    assert turns.count(0) + turns.count(DAY_S) + turns.count(3 * DAY_S) == 10_000
    assert waves.to_json() == VALUE


def test_it_is_not_always_the_same_farms_that_are_first() -> None:
    first = {min((place_of(version, farm), farm) for farm in range(9))[1] for version in "abcdef"}
    assert len(first) > 1
    assert place_of("1.0.set00c0ffee", 4711) == 60413


@pytest.mark.parametrize(
    "value",
    [
        [],
        {},
        {"published": 1},
        {**VALUE, "more": 1},
        {**VALUE, "published": True},
        {**VALUE, "published": 1.5},
        {**VALUE, "published": -1},
        {**VALUE, "published": 1 << 41},
        {**VALUE, "steps": []},
        {**VALUE, "steps": [[WHOLE, 0]] * 2},
        {**VALUE, "steps": [[500, 0]]},
        {**VALUE, "steps": [[0, 0], [WHOLE, 1]]},
        {**VALUE, "steps": [[500, 0], [WHOLE + 1, 1]]},
        {**VALUE, "steps": [[500, 2], [WHOLE, 1]]},
        {**VALUE, "steps": [[500, 0], [400, 1], [WHOLE, 2]]},
        {**VALUE, "steps": [[WHOLE, -1]]},
        {**VALUE, "steps": [[WHOLE, 1 << 40]]},
        {**VALUE, "steps": [[True, 0]]},
        {**VALUE, "steps": [[0.5, 0], [WHOLE, 0]]},
        {**VALUE, "steps": [[WHOLE, 0, 0]]},
        {**VALUE, "steps": [["1", 0]]},
        {**VALUE, "steps": [[number * WHOLE // 32, 0] for number in range(1, 33)]},
    ],
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        parse_waves(value)


def test_a_channel_without_waves_has_none() -> None:
    assert parse_waves(None) is None
    assert str(Waves(0, ((15_000, 0), (WHOLE, 60)))) == "1.5%@0s 100%@60s"
