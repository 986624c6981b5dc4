"""Which cards are graphics cards for workloads."""

import pytest

from core.capacity.gpus import PciDevice, choose_gpus
from core.capacity.model import Gpu

DISPLAY, CARD_3D = 0x030000, 0x030200


def test_cards_of_both_makers_count() -> None:
    cards = [
        PciDevice("0000:0e:00.0", DISPLAY, 0x1002, 0x744C),
        PciDevice("0000:01:00.0", DISPLAY, 0x10DE, 0x2684),
    ]
    assert choose_gpus(cards) == [
        Gpu("0000:01:00.0/10de/2684", "NVIDIA Corporation", "2684"),
        Gpu("0000:0e:00.0/1002/744c", "Advanced Micro Devices, Inc. [AMD/ATI]", "744c"),
    ]


def test_a_card_of_a_data_centre_counts() -> None:
    """Upstream looks for displays only."""
    (card,) = choose_gpus([PciDevice("0000:17:00.0", CARD_3D, 0x10DE, 0x20B5)])
    assert card.id == "0000:17:00.0/10de/20b5"


@pytest.mark.parametrize(
    "device",
    [
        PciDevice("0000:00:02.0", DISPLAY, 0x1002, 0x1638),  # on the first bus
        PciDevice("0000:01:00.0", DISPLAY, 0x8086, 0x56A0),
        PciDevice("0000:01:00.0", DISPLAY, 0x1A03, 0x2000),  # of a management controller
        PciDevice("0000:01:00.1", 0x040300, 0x10DE, 0x22BA),  # the card's sound
        PciDevice("0000:01:00.0", 0x030100, 0x10DE, 0x2684),
        PciDevice("strange/name", DISPLAY, 0x10DE, 0x2684),
    ],
)
def test_other_cards_do_not(device: PciDevice) -> None:
    assert choose_gpus([device]) == []
