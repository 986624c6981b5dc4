"""A node asks the channel of a real bootstrap server whether its release may run."""

import http.server
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from common.errors import ZosError
from common.tuf.errors import ExpiredError, MetadataError, RollbackError
from node.admission import Image, admit_release
from node.model import BootParameters, NodeError
from tests.helpers.flist.servers import make_certificate, serve_handler
from tests.helpers.releases.store import DAY_S, Maintainer

KERNEL = os.uname().release
IDENTITY = "ab" * 32
BUILD = {"identity": IDENTITY, "kernel": KERNEL}


class Booted:
    """A node that was booted with a release."""

    def __init__(self, maintainer: Maintainer, url: str, top: Path) -> None:
        self.parameters = BootParameters("dev", 1, (url,), bootstrap=url)
        folder = top / "node"
        self.image = Image(
            folder / "root.json", folder / "os-release", folder / "modules", folder / "run/state"
        )
        self.image.modules.joinpath(KERNEL).mkdir(parents=True)
        self.image.root.write_bytes(maintainer.root)
        self.boot("2.0")

    def boot(self, version: str, identity: str = IDENTITY) -> None:
        """Restart with another release: nothing is kept."""
        self.image.about.write_text(
            f'NAME="Zero-OS"\nID=zero-os\nVERSION_ID="{version}"\nBUILD_ID={identity}\n'
        )
        shutil.rmtree(self.image.state.parent, ignore_errors=True)

    def admit(self) -> None:
        admit_release(self.parameters, self.image)


@pytest.fixture
def node(maintainer: Maintainer, url: str, tmp_path: Path) -> Booted:
    maintainer.publish("dev", "2.0", **BUILD)
    return Booted(maintainer, url, tmp_path)


def refusal(node: Booted, code: str = "ZB41") -> str:
    """Return why the release is refused."""
    with pytest.raises(NodeError) as caught:
        node.admit()
    assert caught.value.code == code
    return caught.value.message


def test_the_release_that_the_channel_holds(
    node: Booted, capsys: pytest.CaptureFixture[str]
) -> None:
    node.admit()
    assert capsys.readouterr().out == "bringup: the channel dev holds this release, 2.0\n"


def test_an_earlier_release_runs_until_it_is_withdrawn(
    node: Booted, maintainer: Maintainer, capsys: pytest.CaptureFixture[str]
) -> None:
    """One may be published while a node boots; a farmer may have chosen the one before."""
    maintainer.publish("dev", "2.1", **BUILD)
    node.admit()
    assert "has held release 2.0; now it holds 2.1" in capsys.readouterr().out
    maintainer.withdraw("2.0")
    assert refusal(node) == "cannot run release 2.0: it was withdrawn from dev: 'a hole'"
    node.boot("2.1")
    node.admit()


def test_a_signed_roll_back_is_no_older_state(node: Booted, maintainer: Maintainer) -> None:
    maintainer.publish("dev", "2.1", **BUILD)
    node.boot("2.1")
    node.admit()
    maintainer.rollback("dev")
    node.admit()
    node.boot("2.0")
    node.admit()


def test_a_channel_that_holds_nothing_any_more(node: Booted, maintainer: Maintainer) -> None:
    maintainer.withdraw("2.0")
    assert "it was withdrawn" in refusal(node)
    node.boot("0.9")
    assert "has never held it" in refusal(node)


SET = [{"role": "core", "name": "tf-zos/production-core", "sha256": "a" * 64, "size": 4096}]
OTHER = [{**SET[0], "sha256": "b" * 64}]


def test_a_release_with_a_set_is_that_which_it_boots(
    node: Booted, maintainer: Maintainer, capsys: pytest.CaptureFixture[str]
) -> None:
    version = maintainer.publish("dev", "2.1", flists=SET, **BUILD)
    node.boot("2.1")
    node.admit()
    assert f"the channel dev holds this release, {version}" in capsys.readouterr().out
    node.boot("2.1", "cd" * 32)
    assert "is not the build that the channel dev holds" in refusal(node)


def test_another_set_leaves_what_was_booted(
    node: Booted, maintainer: Maintainer, capsys: pytest.CaptureFixture[str]
) -> None:
    first = maintainer.publish("dev", "2.1", flists=SET, **BUILD)
    second = maintainer.publish("dev", "2.1", flists=OTHER, **BUILD)
    node.boot("2.1")
    maintainer.withdraw(first)
    node.admit()
    assert f"holds this release, {second}" in capsys.readouterr().out
    maintainer.publish("dev", "2.2", flists=OTHER, **BUILD)
    node.admit()
    assert "has held release 2.1" in capsys.readouterr().out
    maintainer.withdraw(second)
    assert refusal(node) == "cannot run release 2.1: it was withdrawn from dev: 'a hole'"


def test_a_release_of_another_channel(node: Booted, maintainer: Maintainer) -> None:
    maintainer.publish("qa", "4.0", **BUILD)
    node.boot("4.0")
    assert refusal(node) == "cannot run release 4.0: the channel dev has never held it"


@pytest.mark.parametrize("fields", [{"identity": "cd" * 32}, {"kernel": "5.10.0"}, {"kernel": ""}])
def test_another_build_of_the_same_version(
    node: Booted, maintainer: Maintainer, fields: dict[str, str]
) -> None:
    maintainer.publish("dev", "2.1", **{**BUILD, **fields})
    node.boot("2.1")
    assert "is not the build that the channel dev holds" in refusal(node)


def test_a_kernel_of_another_release(node: Booted) -> None:
    node.image.modules.joinpath(KERNEL).rmdir()
    assert "it is not of the same release as the initramfs" in refusal(node)


def test_an_expired_state_is_refused(
    node: Booted, maintainer: Maintainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = maintainer.now + 30 * DAY_S
    monkeypatch.setattr("time.time", lambda: later)
    with pytest.raises(ExpiredError):
        node.admit()


def test_an_older_state_is_refused_even_if_the_release_was_not(
    node: Booted, maintainer: Maintainer
) -> None:
    old = maintainer.files()
    maintainer.withdraw("2.0")
    refusal(node)
    for name, data in old.items():
        maintainer.layout.metadata(name).write_bytes(data)
    with pytest.raises(RollbackError):
        node.admit()


def test_a_history_that_was_exchanged(node: Booted, maintainer: Maintainer) -> None:
    maintainer.publish("dev", "2.1", **BUILD)
    history = maintainer.read("dev").history
    blob = maintainer.layout.blob((history.hashes or {})["sha256"])
    blob.write_bytes(blob.read_bytes().replace(b"2.1", b"9.9"))
    node.boot("9.9")
    with pytest.raises(ZosError) as caught:
        node.admit()
    assert isinstance(caught.value, MetadataError | NodeError)


def take_root(node: Booted) -> None:
    node.image.root.unlink()


def take_server(node: Booted) -> None:
    node.parameters = BootParameters("dev", 1, ("http://10.0.2.2",))


@pytest.mark.parametrize("lacking", [(take_root,), (take_root, take_server)])
def test_an_image_without_a_root_has_no_channel(
    node: Booted, lacking: tuple[Callable[[Booted], None], ...], capsys: pytest.CaptureFixture[str]
) -> None:
    for take in lacking:
        take(node)
    node.admit()
    assert "trusts no channel" in capsys.readouterr().out


def test_an_image_with_a_root_asks_its_channel(node: Booted) -> None:
    """To leave out the server's address is no way round the check."""
    take_server(node)
    assert "no bootstrap server is named" in refusal(node)
    node.parameters = BootParameters("dev", 1, (), bootstrap="http://127.0.0.1:1")
    assert "does not answer" in refusal(node, "ZB21")


def test_a_certificate_that_nobody_vouches_for(node: Booted, tmp_path: Path) -> None:
    context = make_certificate(tmp_path / "tls").context
    with serve_handler(http.server.BaseHTTPRequestHandler, context) as port:
        node.parameters = BootParameters("dev", 1, (), bootstrap=f"https://127.0.0.1:{port}")
        assert "certificate of the bootstrap server is refused" in refusal(node, "ZB23")
