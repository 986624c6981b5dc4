"""Placement: exact, even, and quick."""

import itertools
import random
import time

import pytest

from zstor.config import Config, parse_config
from zstor.errors import PlacementError
from zstor.placement import Rule, place_shards, share_out

KEY = "ab" * 32


def config(k: int, n: int, groups: list[int], lost_groups: int = 0, lost_nodes: int = 0) -> Config:
    port = itertools.count(1000)
    tables = "".join(
        "[[groups]]\nbackends = ["
        + ", ".join(f'{{ address = "127.0.0.1:{next(port)}" }}' for _ in range(size))
        + "]\n"
        for size in groups
    )
    return parse_config(
        f"minimal_shards = {k}\nexpected_shards = {n}\nredundant_groups = {lost_groups}\n"
        f"redundant_nodes = {lost_nodes}\n"
        f'encryption = {{ algorithm = "AES", key = "{KEY}" }}\n'
        'compression = { algorithm = "zstd" }\n'
        f'[meta]\ntype = "zdb"\nconfig = {{ prefix = "", encryption = {{ algorithm = "AES", '
        f'key = "{KEY}" }}, backends = [{{ address = "127.0.0.1:1" }}] }}\n{tables}'
    )


def test_sixteen_of_twenty_over_four_groups_of_five_is_quick() -> None:
    """Upstream gives no answer within a minute."""
    plan = config(16, 20, [5] * 4, lost_nodes=1)
    times = []
    for _ in range(9):
        start = time.process_time()
        placed = place_shards(plan)
        times.append(time.process_time() - start)
        assert len(set(placed)) == 20
    assert sorted(times)[4] < 0.010


def test_the_largest_configuration_is_placed_in_a_moment() -> None:
    start = time.process_time()
    assert len(set(place_shards(config(128, 256, [16] * 20, lost_groups=1)))) == 256
    assert time.process_time() - start < 1


def test_neighbours_are_in_different_groups() -> None:
    plan = config(16, 20, [5] * 4)
    groups = plan.data_groups
    numbers = [next(i for i, g in enumerate(groups) if b in g) for b in place_shards(plan)]
    assert all(len(set(numbers[i : i + 4])) == 4 for i in range(0, 20, 4))


def test_draws_use_all_backends() -> None:
    plan = config(2, 3, [10])
    draw = random.Random(1)
    assert {b for _ in range(200) for b in place_shards(plan, draw=draw)} == set(
        plan.data_groups[0]
    )


def test_what_is_avoided_gets_nothing_and_what_is_kept_stays() -> None:
    plan = config(2, 4, [2, 2, 2])
    a, b, c = plan.data_groups
    new = place_shards(plan, kept={a[0], b[0]}, avoided={a[1]})
    assert len(new) == 2
    assert not set(new) & {a[0], a[1], b[0]}
    assert set(new) & set(c)


def test_kept_shards_on_backends_that_are_gone_from_the_configuration_count() -> None:
    plan = config(2, 4, [2, 2])
    gone = plan.stores[0]
    assert len(place_shards(plan, kept={gone})) == 3


@pytest.mark.parametrize(
    ("groups", "lost_groups", "lost_nodes"),
    [([5] * 4, 1, 0), ([10, 10], 1, 0), ([20], 1, 0), ([5] * 4, 0, 2)],
)
def test_redundancy_that_can_not_be_is_refused(
    groups: list[int], lost_groups: int, lost_nodes: int
) -> None:
    with pytest.raises(PlacementError, match="cannot place 20 shards"):
        place_shards(config(16, 20, groups, lost_groups, lost_nodes))


def test_too_few_usable_backends_are_counted() -> None:
    plan = config(2, 4, [4])
    with pytest.raises(PlacementError, match="only 3 backends are usable"):
        place_shards(plan, avoided={plan.data_groups[0][0]})


def exhaustive(rule: Rule, room: list[int]) -> bool:
    """Return whether any shares satisfy the rule, by trying all."""
    ranges = (range(most + 1) for most in room)
    return any(
        sum(shares) == rule.total and rule.survivors(shares) >= rule.needed
        for shares in itertools.product(*ranges)
    )


def test_shares_are_found_exactly_when_there_are_any() -> None:
    draw = random.Random(7)
    found = 0
    for _ in range(3000):
        room = [draw.randint(0, 5) for _ in range(draw.randint(1, 5))]
        total = draw.randint(2, 10)
        rule = Rule(draw.randint(1, total - 1), total, draw.randint(0, 2), draw.randint(0, 3))
        shares = share_out(rule, room, [0] * len(room))
        assert (shares is not None) == exhaustive(rule, room), (rule, room)
        if shares is not None:
            found += 1
            assert sum(shares) == total
            assert all(share <= most for share, most in zip(shares, room, strict=True))
            assert rule.survivors(shares) >= rule.needed
    assert found > 300


def test_even_shares_come_first() -> None:
    assert sorted(share_out(Rule(2, 4, 0, 0), [3, 3, 3], [0, 0, 0]) or []) == [1, 1, 2]
    assert share_out(Rule(2, 6, 0, 0), [5, 5, 5], [3, 0, 0]) == [3, 2, 1]
