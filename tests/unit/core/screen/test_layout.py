"""The layout fits any screen, and what is wrong is always on it."""

from dataclasses import replace
from pathlib import Path

import pytest

from core.screen.layout import FOOT, lay_out
from core.screen.letters import FONT, enlarge, width_of
from core.screen.values import Seen

GOLDEN = Path(__file__).with_name("screen.txt")
SEEN = Seen(
    farm="4711",
    state="READY",
    title="Zero-OS   farm 4711   run mode prod   kernel 6.12.1",
    rows=(
        ("Node", "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9  (until it restarts)"),
        ("Address", "192.168.1.7/24 on eth1, fd00::5054:ff:fe12:3456/64 on eth1, no cable: eth0"),
        ("Release", "0.1.0+0123456789ab.set01234567"),
        ("Services", "12 run or are done, 1 failed"),
        ("Load", "CPU 12 %, memory 512 of 2048 MB, up 1 h 01 min"),
        ("Capacity", "4 CPU, memory 8 GB, SSD 931 GB, HDD 0 GB"),
        ("Registry", "registered, https://registry.example"),
    ),
    problems=("service redis is Error",),
)


def texts(seen: Seen, width: int = 80, height: int = 25) -> list[str]:
    return [line.text for line in lay_out(seen, width, height)]


def test_the_usual_screen_is_the_golden_one() -> None:
    assert [text.rstrip() for text in texts(SEEN)] == GOLDEN.read_text().splitlines()


@pytest.mark.parametrize(
    "size", [(80, 25), (80, 50), (100, 37), (128, 48), (240, 67), (40, 12), (8, 3), (1, 1)]
)
@pytest.mark.parametrize("farm", ["", "1", "4294967295"])
@pytest.mark.parametrize("count", [0, 1, 500])
def test_any_screen_is_filled_exactly(size: tuple[int, int], farm: str, count: int) -> None:
    width, height = size
    seen = replace(SEEN, farm=farm, problems=tuple(f"problem {n} " * 9 for n in range(count)))
    found = texts(seen, width, height)
    assert [len(text) for text in found] == [width] * height


@pytest.mark.parametrize("count", [1, 3, 500])
def test_what_is_wrong_is_seen_with_the_nodes_name(count: int) -> None:
    found = "\n".join(texts(replace(SEEN, problems=tuple(f"problem {n}" for n in range(count)))))
    assert "problem 0" in found
    assert "AKnL4NNf3DGWZJS6cPknBuEGnVsV4A4m5tgebLHaRSZ9" in found
    assert FOOT in found
    assert ("more lines" in found) == (count == 500)


def test_the_farm_is_on_screens_that_are_too_small_for_large_letters() -> None:
    assert "FARM 4711  READY" in "\n".join(texts(SEEN, 40, 12))
    assert "FARM 4294967295" in "\n".join(texts(replace(SEEN, farm="4294967295"), 80, 25))


def test_letters_grow_with_the_screen() -> None:
    assert texts(SEEN, 240, 67)[2].count("█") > texts(SEEN)[2].count("█")
    assert {len(row) for row in enlarge("42", 3)} == {width_of("42", 3)}


def test_every_word_has_its_letters() -> None:
    assert set("FARM NO FARM READY STARTING ZB0123456789") <= set(FONT)
