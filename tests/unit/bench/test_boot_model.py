"""The model of a boot storm, where the result is known."""

import pytest

from bench.boot_model import Site, simulate


def test_a_node_alone_is_limited_by_its_own_link() -> None:
    assert simulate(Site(1, 0, 1000, 0.5, 10_000, 100)) == pytest.approx([10.5])


def test_downloads_share_the_link_of_the_server() -> None:
    assert simulate(Site(10, 0, 1000, 0, 1000, 1000)) == pytest.approx([10.0] * 10)
    assert simulate(Site(10, 0, 1000, 0, 1000, 1000, servers=2)) == pytest.approx([5.0] * 10)


def test_who_comes_later_shares_only_what_is_left() -> None:
    # The second begins after half of the first; then each has half of the link.
    assert simulate(Site(2, 1, 1000, 0, 1000, 1000)) == pytest.approx([1.5, 1.5])


def test_requests_wait_for_one_another() -> None:
    assert simulate(Site(3, 0, 1, 1, 1e9, 1e9)) == pytest.approx([1, 2, 3], abs=1e-6)
