"""When which farms take a release."""

from typing import Any

import pytest

from common.releases.waves import Waves, parse_waves, place_of
from common.tuf.errors import MalformedError

DAY_S = 86_400
VALUE = {"published": 1000, "steps": [[0.01, 0], [0.1, DAY_S], [1, 3 * DAY_S]]}


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
    assert place_of("1.0.set00c0ffee", 4711) == pytest.approx(0.0604139, abs=1e-6)


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
        {**VALUE, "steps": [[1, 0]] * 2},
        {**VALUE, "steps": [[0.5, 0]]},
        {**VALUE, "steps": [[0, 0], [1, 1]]},
        {**VALUE, "steps": [[0.5, 0], [1.5, 1]]},
        {**VALUE, "steps": [[0.5, 2], [1, 1]]},
        {**VALUE, "steps": [[0.5, 0], [0.4, 1], [1, 2]]},
        {**VALUE, "steps": [[1, -1]]},
        {**VALUE, "steps": [[1, 1 << 40]]},
        {**VALUE, "steps": [[True, 0]]},
        {**VALUE, "steps": [[float("nan"), 0], [1, 0]]},
        {**VALUE, "steps": [[1, 0, 0]]},
        {**VALUE, "steps": [["1", 0]]},
        {**VALUE, "steps": [[number / 32, 0] for number in range(1, 33)]},
    ],
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(MalformedError):
        parse_waves(value)


def test_a_channel_without_waves_has_none() -> None:
    assert parse_waves(None) is None
    assert str(Waves(0, ((0.015, 0), (1.0, 60)))) == "1.5%@0s 100%@60s"
