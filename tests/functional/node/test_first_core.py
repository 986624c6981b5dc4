"""What the first Core-0 kept and said (c0e30e32) is taken over by today's code.

`first_core/` was written by that code: what it keeps of a channel on the disk of the cache, and the
versions seen and the generations in /run. `look.json` has the shape of its bring-up's answer, which
another core asks for until the node reboots.
"""

import json
import shutil
from pathlib import Path

import pytest

from common.tuf.errors import ExpiredError
from core.update.policy import Rules, What, Window, decide
from node.channel import check_channel, fetch_held
from node.flists.cache import DiskCache
from node.generations.saved import load
from node.model import NodeError
from tests.helpers.releases.store import DAY_S

KEPT = Path(__file__).parent / "first_core"
MADE = 1796094511.6  # when the channel was signed
AWAY = "http://127.0.0.1:9"
RELEASE, SEQUENCE = "1.1", 3


@pytest.fixture
def cache(tmp_path: Path) -> DiskCache:
    """Return the cache on a disk that the first Core-0 has written to."""
    (tmp_path / "disk").mkdir()
    found = DiskCache(tmp_path / "disk", Path("/dev/vda"))
    found.open()
    for name in ("channel-prod.json", "history-prod.json"):
        shutil.copy(KEPT / name, found.top / "kept" / name)
    (tmp_path / "os-release").write_text("ID=zero-os\n")
    return found


def check(cache: DiskCache, state: Path) -> tuple[str, int]:
    """Return what a node reads without a bootstrap server."""
    image = state.parent / "os-release"
    channel, manifest = check_channel(
        *(AWAY, "prod"), root=KEPT / "root.json", state=state, image=image, cache=cache
    )
    assert manifest is not None and manifest.version == channel.release
    assert "1.0" in fetch_held(AWAY, channel, cache=cache)
    return channel.release, channel.sequence


@pytest.mark.parametrize("has_state", [True, False], ids=["it runs on", "it boots"])
def test_a_kept_channel_is_taken_over(
    cache: DiskCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_state: bool
) -> None:
    monkeypatch.setattr("node.channel.read_clock", lambda _: MADE + DAY_S)
    state = tmp_path / "state"
    if has_state:
        shutil.copy(KEPT / "channel.json", state)
    assert check(cache, state) == (RELEASE, SEQUENCE)
    assert json.loads(state.read_bytes()) == json.loads((KEPT / "channel.json").read_bytes())


def test_a_kept_channel_expires_all_the_same(
    cache: DiskCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.channel.read_clock", lambda _: MADE + 60 * DAY_S)
    with pytest.raises(NodeError) as caught:
        check(cache, tmp_path / "state")
    assert isinstance(caught.value.__cause__, ExpiredError)


def test_the_generations_are_taken_over() -> None:
    saved = load(KEPT / "generations.json")
    assert saved is not None
    record = saved.record
    assert (record.running, record.before, record.sequence) == (RELEASE, "1.0", SEQUENCE)
    assert [flist.version for flist in saved.running] == [RELEASE]


def test_a_core_follows_the_first_bring_up() -> None:
    """That one says nothing of reboots, so none is made on its word."""
    look = json.loads((KEPT / "look.json").read_bytes())
    rules = Rules(Window(0, 86_399))
    assert decide(look, rules, MADE, 10 * DAY_S).what == What.REPORT
    look["held"]["release"] = "1.2"
    assert decide(look, rules, MADE, 10 * DAY_S).what == What.APPLY
