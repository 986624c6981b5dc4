"""The list of all blocks: upstream's form, exact pages, and no folder is read without need."""

import os
import time
from pathlib import Path

import pytest

from flist.hub.listing import BlockList
from flist.server import api
from tests.helpers.flist.hub import LocalHub, make_hub


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub")


def add(root: Path, name: str, *, is_flat: bool = False) -> None:
    folder = root if is_flat else root / name[:2]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"x")


def test_rows_are_names(hub: LocalHub) -> None:
    names = sorted(f"{number:02x}" * 32 for number in range(5))
    for name in names:
        add(hub.root / "blocks", name)
    answer = hub.get("/api/v1/blocks")
    assert answer == {"blocks": names, "total": 5, "page": 1, "per_page": 50}
    assert api.read_names(answer) == names
    pages = [hub.get(f"/api/v1/blocks?page={page}&per_page=2")["blocks"] for page in (1, 2, 3, 4)]
    assert pages == [names[:2], names[2:4], names[4:], []]
    assert hub.get("/api/v1/blocks?per_page=1000")["per_page"] == 100


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=²", "per_page=0", "page="])
def test_impossible_pages_are_refused(hub: LocalHub, query: str) -> None:
    assert hub.send("GET", f"/api/v1/blocks?{query}".replace("²", "%C2%B2")).status == 400


def test_the_rows_of_an_older_hub_are_read() -> None:
    assert api.read_names({"blocks": [["a" * 64, 0], "b" * 64]}) == ["a" * 64, "b" * 64]


def test_a_folder_is_read_again_when_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{number:02x}" + "0" * 62 for number in range(3)]
    for name in names:
        add(tmp_path, name)
        os.utime(tmp_path / name[:2], (1, 1))  # long ago
    os.utime(tmp_path, (1, 1))
    blocks = BlockList(tmp_path)
    assert blocks.page(1, 10) == (names, 3)
    read: list[str] = []
    scan = os.scandir

    def counted(path: Path) -> object:
        read.append(Path(path).name)
        return scan(path)

    monkeypatch.setattr(os, "scandir", counted)
    assert blocks.page(1, 10) == (names, 3)
    assert read == []
    add(tmp_path, "01" + "f" * 62)
    assert blocks.page(1, 10) == ([*names[:2], "01" + "f" * 62, names[2]], 4)
    assert read == ["01"]
    # The folder changed a moment ago, so it may change again without another time: it is read.
    assert blocks.page(1, 10)[1] == 4
    assert read == ["01", "01"]


def test_blocks_of_a_flat_store_are_listed(tmp_path: Path) -> None:
    add(tmp_path, "f" * 64, is_flat=True)
    add(tmp_path, "a" * 64)
    (tmp_path / "aa" / "not a block").touch()
    assert BlockList(tmp_path).page(1, 10) == (["f" * 64, "a" * 64], 2)
    assert BlockList(tmp_path / "absent").page(1, 10) == ([], 0)


def test_a_page_of_many_blocks_is_quick(tmp_path: Path) -> None:
    """A hundredth of the time of reading all folders."""
    for shard in range(64):
        folder = tmp_path / f"{shard:02x}"
        folder.mkdir()
        for number in range(150):
            (folder / f"{shard:02x}{number:062x}").touch()
        os.utime(folder, (1, 1))
    blocks = BlockList(tmp_path)
    began = time.process_time()
    blocks.page(1, 100)
    first_s = time.process_time() - began
    began = time.process_time()
    for _ in range(5):
        assert blocks.page(50, 100)[1] == 9600
    assert (time.process_time() - began) / 5 < first_s
