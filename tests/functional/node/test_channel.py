"""A node, and python-tuf's client, read channels of a real bootstrap server."""

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tuf.ngclient import Updater

from common.errors import ZosError
from common.releases.channel import Channel
from common.tuf.errors import ExpiredError, RollbackError, SignatureError
from common.tuf.trust import Trusted
from node.channel import check_channel, fetch_held
from node.flists.cache import DiskCache
from node.model import NodeError
from tests.helpers.checkout import TOP
from tests.helpers.releases.store import DAY_S, Maintainer

# Prints the modules of a node's verifier that python-tuf or a network would have brought.
SHOW_IMPORTS = """
import sys
import common.releases.channel
print([name for name in sys.modules if name.split(".")[0] in {
    "tuf", "securesystemslib", "urllib3", "asyncio", "logging", "ssl", "cryptography"}])
"""


class Node:
    """What a node has: the root and the date of its image, and its state in /run."""

    def __init__(self, maintainer: Maintainer, url: str, top: Path) -> None:
        self.url = url
        self.root, self.image, self.state = top / "root.json", top / "os-release", top / "run/state"
        self.root.write_bytes(maintainer.root)
        self.image.write_text("ID=zero-os\n")

    def check(self) -> tuple[str, int]:
        channel, manifest = check_channel(
            self.url, "prod", root=self.root, state=self.state, image=self.image
        )
        assert (manifest.version if manifest else "") == channel.release
        return channel.release, channel.sequence


@pytest.fixture
def node(maintainer: Maintainer, url: str, tmp_path: Path) -> Node:
    return Node(maintainer, url, tmp_path)


def test_a_node_follows_its_channel(node: Node, maintainer: Maintainer) -> None:
    assert node.check() == ("1.0", 2)
    maintainer.publish("prod", "1.1")
    assert node.check() == ("1.1", 3)
    maintainer.rollback("prod")
    assert node.check() == ("1.0", 4)
    maintainer.withdraw("1.0")
    assert node.check() == ("", 5)
    assert node.state.stat().st_mode & 0o777 == 0o600


def test_a_node_refuses_an_older_state(node: Node, maintainer: Maintainer) -> None:
    old = maintainer.files()
    maintainer.publish("prod", "1.1")
    node.check()
    before = node.state.read_bytes()
    for name, data in old.items():
        maintainer.layout.metadata(name).write_bytes(data)
    with pytest.raises(RollbackError):
        node.check()
    assert node.state.read_bytes() == before
    node.state.unlink()  # a restart: only expiry protects it now
    assert node.check() == ("1.0", 2)


def test_a_node_whose_clock_is_ten_years_behind(
    node: Node, maintainer: Maintainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts from the date of its image."""
    now = maintainer.now
    monkeypatch.setattr("time.time", lambda: now - 3660 * DAY_S)
    assert node.check() == ("1.0", 2)
    os.utime(node.image, (now + 20 * DAY_S, now + 20 * DAY_S))
    with pytest.raises(ExpiredError, match="it was valid until"):
        node.check()


def test_a_node_whose_clock_is_ten_years_ahead(
    node: Node, maintainer: Maintainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = maintainer.now
    monkeypatch.setattr("time.time", lambda: now + 3660 * DAY_S)
    with pytest.raises(ExpiredError) as caught:
        node.check()
    assert "this clock is wrong" in (caught.value.hint or "")
    assert not node.state.exists()


def test_a_node_trusts_only_the_root_of_its_image(node: Node, tmp_path: Path) -> None:
    node.root.write_bytes(Maintainer.begin(tmp_path / "other").root)
    with pytest.raises(SignatureError):
        node.check()


def test_a_server_that_does_not_answer(node: Node) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        node.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(NodeError, match="cannot read the channel prod"):
        node.check()


def test_a_state_that_is_damaged(node: Node) -> None:
    node.state.parent.mkdir()
    node.state.write_bytes(b"{")
    with pytest.raises(ZosError, match="cannot use the state"):
        node.check()


def test_a_debug_release_in_production_is_refused(node: Node, maintainer: Maintainer) -> None:
    """Even if all keys of production have signed it."""
    from image.channel import commit

    maintainer.add("1.1", debug=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("image.channel.actions.demand_fit", lambda *_: None)
        patch.setattr(commit, "open_manifest", lambda *_: None)
        maintainer.publish("prod", "1.1", debug=True)
    with pytest.raises(ZosError, match="production channel"):
        node.check()


def test_python_tuf_s_client_gets_every_file(
    url: str, maintainer: Maintainer, tmp_path: Path
) -> None:
    (tmp_path / "metadata").mkdir()
    updater = Updater(
        str(tmp_path / "metadata"),
        f"{url}/channel/metadata/",
        str(tmp_path / "targets"),
        f"{url}/channel/targets/",
        bootstrap=maintainer.root,
    )
    for name in ("vmlinuz", "initramfs.zst", "manifest.json", "history.jsonl"):
        info = updater.get_targetinfo(f"prod/{name}")
        assert info is not None
        assert Path(updater.download_target(info)).stat().st_size == info.length
    assert updater.get_targetinfo("prod/nothing") is None


def test_the_verifier_costs_a_node_little() -> None:
    """python-tuf's would bring 190 modules more; `cryptography` comes with the first signature."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW_IMPORTS],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=TOP,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_the_state_is_what_a_session_begins_with(node: Node, maintainer: Maintainer) -> None:
    node.check()
    trusted = Trusted.from_json(node.state.read_bytes())
    assert trusted.root == maintainer.root
    assert trusted.versions["prod.json"] == 2


AWAY = "http://127.0.0.1:1"


class CachedNode(Node):
    """A node with a disk for the cache; a new boot has nothing else."""

    def __init__(self, maintainer: Maintainer, url: str, top: Path) -> None:
        super().__init__(maintainer, url, top)
        (top / "disk").mkdir()
        self.cache = DiskCache(top / "disk", Path("/dev/vda1"))
        self.cache.open()

    def boot(self, *, is_away: bool = False) -> str:
        """Return the release that the channel holds, as a new boot finds it."""
        self.state.unlink(missing_ok=True)
        return self.look(is_away=is_away)

    def look(self, *, is_away: bool = False) -> str:
        """Ask again."""
        url = AWAY if is_away else self.url
        channel = self.ask(url)
        assert "1.0" in fetch_held(url, channel, cache=self.cache)
        return channel.release

    def ask(self, url: str = AWAY) -> Channel:
        """Ask as an update does."""
        return check_channel(
            *(url, "prod"), root=self.root, state=self.state, image=self.image, cache=self.cache
        )[0]

    @property
    def kept(self) -> Path:
        return self.cache.top / "kept/channel-prod.json"


@pytest.fixture
def cached(maintainer: Maintainer, url: str, tmp_path: Path) -> CachedNode:
    return CachedNode(maintainer, url, tmp_path)


def test_a_channel_is_kept_for_boots_without_a_server(
    cached: CachedNode, maintainer: Maintainer, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(NodeError, match="does not answer"):
        cached.boot(is_away=True)
    assert cached.boot() == "1.0"
    assert capsys.readouterr().out == ""
    assert cached.boot(is_away=True) == "1.0"
    assert "from the cache, channel valid until 20" in capsys.readouterr().out
    maintainer.rotate("root")
    maintainer.keys_changed()
    maintainer.publish("prod", "1.1")
    assert cached.look() == "1.1"  # it fetches only what is new since it has started
    assert cached.boot(is_away=True) == "1.1"


def test_what_is_kept_does_not_grow(cached: CachedNode, maintainer: Maintainer) -> None:
    cached.boot()
    before = len(json.loads(cached.kept.read_text()))
    for number in range(1, 4):
        maintainer.publish("prod", f"1.{number}")
        cached.look()
    assert len(json.loads(cached.kept.read_text())) == before


def test_a_kept_channel_expires(
    cached: CachedNode, maintainer: Maintainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached.boot()
    late = maintainer.now + 30 * DAY_S
    monkeypatch.setattr("node.channel.time.time", lambda: late)
    with pytest.raises(NodeError, match="does not answer") as caught:
        cached.boot(is_away=True)
    assert "has expired" in (caught.value.hint or "")


def test_a_kept_channel_never_goes_back(cached: CachedNode, maintainer: Maintainer) -> None:
    """An enemy may put older files back, but not while the node runs."""
    cached.boot()
    old = cached.kept.read_bytes()
    maintainer.publish("prod", "1.1")
    cached.boot()
    seen = cached.state.read_bytes()
    assert cached.ask().release == "1.1"
    cached.kept.write_bytes(old)
    with pytest.raises(NodeError, match="does not answer") as caught:
        cached.ask()
    assert "what the cache on the disk has does not help" in (caught.value.hint or "")
    assert cached.state.read_bytes() == seen


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"metadata/timestamp.json": "?"}', "forged"])
def test_whatever_is_kept_of_a_channel(cached: CachedNode, text: str) -> None:
    cached.boot()
    if text == "forged":
        value = json.loads(cached.kept.read_text())
        text = json.dumps(dict.fromkeys(value, base64.b64encode(b"{}").decode()))
    cached.kept.write_text(text)
    with pytest.raises(NodeError, match="does not answer"):
        cached.boot(is_away=True)
    assert cached.boot() == "1.0"
    assert cached.boot(is_away=True) == "1.0"
