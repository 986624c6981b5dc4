"""What the registry's benchmark computes, where the result is known."""

import itertools

import pytest

from bench.bench_registry import INTERVAL_S, extrapolate, split, sum_up


def test_more_nodes_than_were_simulated_are_computed_from_one_report() -> None:
    told = {
        "ours": {"cpu_ms": 2.0, "rps": 500.0},
        "register": {"rps": 100.0},
        "bytes_per_report": 1000.0,
    }
    many = extrapolate(told, 250 * INTERVAL_S)
    assert many["reports_per_s"] == 250
    assert many["processors"] == 0.5
    assert many["share_of_measured_rate"] == 0.5
    assert many["gb_per_day"] == pytest.approx(21.6)
    assert many["all_register_s"] == 6000


def test_ratios_are_medians_of_those_of_each_round() -> None:
    pairs = [
        ({"rps": rps, "cpu_ms": 1.0}, {"rps": 100.0, "cpu_ms": cpu_ms})
        for rps, cpu_ms in ((50.0, 2.0), (100.0, 4.0), (400.0, 1.0))
    ]
    found = sum_up(pairs, {"rps": 1.0, "cpu_ms": 0.25})
    assert found["ratio"] == {"rps": 1.0, "cpu": 0.5, "cpu_to_verify": 4.0}
    assert found["ours"]["rps"] == 100.0


@pytest.mark.parametrize(("nodes", "cuts"), [(10, 2), (1000, 2), (1001, 3), (10_000, 11)])
def test_no_round_is_much_smaller_than_another(nodes: int, cuts: int) -> None:
    places = split(nodes)
    sizes = [end - begin for begin, end in itertools.pairwise(places)]
    assert (len(places), sum(sizes)) == (cuts, nodes)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 1000
