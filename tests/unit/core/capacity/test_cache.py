"""What the block cache takes."""

from typing import Any

import pytest

from core.capacity.cache import parse_cache
from core.capacity.model import Disk, Resources

DISKS = [Disk("sda", 1000, True), Disk("nvme0n1", 2000, False), Disk("sdaa", 500, False)]


@pytest.mark.parametrize(
    ("device", "taken"),
    [
        ("/dev/sda1", Resources(hru=100)),
        ("/dev/sda", Resources(hru=100)),
        ("/dev/nvme0n1p12", Resources(sru=100)),
        ("/dev/sdaa3", Resources(sru=100)),
        ("/dev/sdb1", Resources()),
        (None, Resources()),
        ("", Resources()),
    ],
)
def test_it_counts_in_the_class_of_its_disk(device: Any, taken: Resources) -> None:
    assert parse_cache({"cache": {"device": device, "size": 100, "used": 1}}, DISKS) == taken


@pytest.mark.parametrize(
    "status",
    [
        None,
        [],
        {},
        {"cache": None},
        {"cache": {"device": "/dev/sda1"}},
        {"cache": {"device": "/dev/sda1", "size": "1"}},
        {"cache": {"device": "/dev/sda1", "size": -1}},
    ],
)
def test_what_is_no_answer_is_no_cache(status: Any) -> None:
    assert parse_cache(status, DISKS) == Resources()


def test_a_cache_is_not_larger_than_its_disk() -> None:
    assert parse_cache({"cache": {"device": "/dev/sda1", "size": 5000}}, DISKS) == Resources(
        hru=1000
    )
