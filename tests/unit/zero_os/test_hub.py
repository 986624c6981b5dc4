"""The hub of `zos boot`: two concurrent callers make its flist once."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.waiting import wait_until
from zero_os.boot import hub

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
