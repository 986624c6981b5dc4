"""The hub of `zos boot`: two concurrent callers make its flist once."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from flist.blocks.codec import encode
from tests.helpers.waiting import wait_until
from zero_os.boot import hub
from zero_os.boot.places import checkout_dir

SIZE = 1234


def test_concurrent_callers_pack_once_with_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed: list[Path] = []
    hubs: list[hub.LocalHub] = []
    said: list[str] = []
    archive = tmp_path / "archive.tar"
    archive.touch()

    def is_other_waiting() -> bool:
        return any("waiting for" in line for line in said)

    def fetch_packages(_: Sequence[str]) -> Path:
        return archive

    def pack_workload(_: Path, flist: Path, blocks: Path) -> int:
        wait_until(is_other_waiting, "the other caller waits")
        packed.append(blocks)
        flist.parent.mkdir(parents=True, exist_ok=True)
        flist.write_bytes(b"flist")
        return SIZE

    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "fetch_packages", fetch_packages)
    monkeypatch.setattr(hub, "pack_workload", pack_workload)
    monkeypatch.setattr(hub, "sign_flist_file", lambda *_: None)
    threads = [
        threading.Thread(target=lambda: hubs.append(hub.prepare_hub(said.append))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(packed) == 1
    assert [one.total_bytes for one in hubs] == [SIZE, SIZE]
    assert hubs[0] == hubs[1]
    assert sum("waiting for" in line for line in said) == 1


@pytest.fixture
def packer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Make packing cheap; return the contents of the flists that were packed."""
    packed: list[bytes] = []
    archive = tmp_path / "archive.tar"
    archive.touch()

    def pack_workload(_: Path, flist: Path, blocks: Path) -> int:
        packed.append(b"flist %d" % len(packed))
        flist.parent.mkdir(parents=True, exist_ok=True)
        replaced = flist.with_suffix(".new")
        replaced.write_bytes(packed[-1])
        replaced.rename(flist)
        block = encode(b"block")
        path = blocks / block.block.id.hex()[:2] / block.block.id.hex()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(block.data)
        return SIZE

    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(hub, "fetch_packages", lambda _: archive)
    monkeypatch.setattr(hub, "pack_workload", pack_workload)
    monkeypatch.setattr(hub, "sign_flist_file", lambda *_: None)
    return packed


def test_a_run_keeps_its_flist_when_another_packs_anew(
    tmp_path: Path, packer: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = hub.prepare_hub(print, tmp_path / "first")
    monkeypatch.setattr(hub, "hub_identity", lambda *_: "changed")
    second = hub.prepare_hub(print, tmp_path / "second")
    assert first.flist.read_bytes() == b"flist 0"
    assert second.flist.read_bytes() == b"flist 1"
    assert len(list((first.root / "blocks").glob("*/*"))) == 1


def test_a_damaged_hub_is_packed_again(tmp_path: Path, packer: list[bytes]) -> None:
    one = hub.prepare_hub(print)
    assert hub.prepare_hub(print) == one
    assert len(packer) == 1
    one.flist.write_bytes(b"flist X")
    hub.prepare_hub(print)
    assert len(packer) == 2
    (block,) = (one.root / "blocks").glob("*/*")
    block.write_bytes(block.read_bytes()[:-1] + b"X")
    hub.prepare_hub(print)
    assert len(packer) == 3
    hub.prepare_hub(print)
    assert len(packer) == 3


def test_each_checkout_has_its_own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path))
    here = checkout_dir("hub")
    monkeypatch.setattr("zero_os.boot.places.TOP", tmp_path / "another checkout")
    assert checkout_dir("hub") != here
