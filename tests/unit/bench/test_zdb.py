"""The rows of the benchmark of zdb: medians, and the ratio of each round."""

from bench.bench_zdb import RECORDED, Shape, is_enough, shapes, summarize


def test_rows_have_medians_and_the_recorded_ratio() -> None:
    shape = Shape("SET", 32, 1, 128, "never")
    rounds = [
        {shape: {"redis": 100_000.0, "zdb": 40_000.0}},
        {shape: {"redis": 50_000.0, "zdb": 30_000.0}},
        {shape: {"redis": 60_000.0, "zdb": 20_000.0}},
    ]
    (row,) = rows = summarize(rounds)
    assert (row["redis"], row["zdb"], row["ratio"]) == (60_000, 30_000, 0.4)
    assert (row["lowest"], row["highest"]) == (0.333, 0.6)
    assert row["0-db's ratio"] == RECORDED["SET", 32, 1]
    assert not is_enough(rows)
    assert is_enough(summarize([{shape: {"redis": 200_000.0, "zdb": 50_000.0}}]))
    assert is_enough(summarize([{shape: {"redis": 20_000.0, "zdb": 16_000.0}}]))


def test_every_policy_size_and_number_of_clients_is_measured() -> None:
    wanted = shapes(is_quick=False)
    assert len(wanted) == len(set(wanted)) == 48
    assert {(s.clients, s.pipeline, s.size) for s in wanted} == {
        (c, p, d) for c in (1, 32, 50) for p in (1, 16) for d in (128, 4096)
    }
    assert len(shapes(is_quick=True)) == 12
