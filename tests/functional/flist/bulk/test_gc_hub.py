"""Garbage collection in the folder of a hub."""

import json
import os
import time
from pathlib import Path

import pytest

from flist.bulk.gc import collect_garbage
from flist.errors import FlistError
from flist.server.names import name_block, name_file
from flist.store.folder import FolderStore
from tests.helpers.flist.mount import rfs


def put(hub: Path, data: bytes) -> str:
    """Put a plain block; return its name."""
    name = name_block(data)
    FolderStore(hub / "blocks").put(bytes.fromhex(name), data)
    return name


def pack(hub: Path, folder: Path, text: str) -> Path:
    """Pack a file into the hub's blocks; return the flist."""
    tree = folder / f"tree-{text}"
    tree.mkdir()
    (tree / "file").write_text(text)
    rfs("pack", "-m", tree.with_suffix(".fl"), "-s", f"dir://{hub}/blocks", tree)
    return tree.with_suffix(".fl")


def upload(hub: Path, data: bytes, *, is_whole: bool) -> list[str]:
    """Note an upload of two blocks as a hub does; return their names."""
    names = [put(hub, data[:1000]), put(hub, data[1000:])]
    name = name_file(names)
    (hub / "files").mkdir(exist_ok=True)
    if is_whole:
        (hub / "files" / f"{name}.blocks").write_text("".join(f"{n}\n" for n in names))
    else:
        (hub / "files" / name).mkdir()
        for index, block in enumerate(names):
            (hub / "files" / name / str(index)).write_text(block)
    return names


@pytest.fixture(name="hub")
def make_hub(tmp_path: Path) -> Path:
    """Return a hub's folder with a published flist, an earlier version, uploads, a website, and
    one block that nothing needs. All are old."""
    hub = tmp_path / "hub"
    (hub / "flists" / "a").mkdir(parents=True)
    (hub / "history" / "a" / "b").mkdir(parents=True)
    pack(hub, tmp_path, "published").rename(hub / "flists" / "a" / "b.fl")
    pack(hub, tmp_path, "earlier").rename(hub / "history" / "a" / "b" / f"{'1' * 64}.fl")
    upload(hub, b"an upload " * 300, is_whole=True)
    upload(hub, b"another one " * 300, is_whole=False)
    for is_whole in (True, False):
        website = pack(hub, tmp_path, f"website{is_whole:d}")
        upload(hub, website.read_bytes(), is_whole=is_whole)
        website.unlink()
    upload(hub, b"SQLite format 3\0" + bytes(5000), is_whole=True)  # but not a flist
    put(hub, b"nothing needs this")
    then = time.time() - 3 * 3600
    for path in (hub / "blocks").glob("*/*"):
        os.utime(path, (then, then))
    return hub


def test_everything_that_a_hub_refers_to_stays(hub: Path, tmp_path: Path) -> None:
    kept = pack(hub, tmp_path, "kept")
    before = {path.name for path in (hub / "blocks").glob("*/*")}
    done = rfs("gc", "--json", "--keep", kept, "--", hub / "blocks")
    assert json.loads(done.stdout)["removed"] == 1
    after = {path.name for path in (hub / "blocks").glob("*/*")}
    assert before - after == {name_block(b"nothing needs this")}
    rfs("verify", "-m", hub / "flists" / "a" / "b.fl")


def test_a_hub_needs_no_named_flist(hub: Path) -> None:
    assert rfs("gc", hub / "blocks").stdout.startswith("removed 1 blocks")


def test_without_a_hub_some_flist_must_be_named(tmp_path: Path) -> None:
    (tmp_path / "blocks").mkdir()
    done = rfs("gc", tmp_path / "blocks", check=False)
    assert done.returncode == 2 and "no flist is named" in done.stderr


def test_a_hub_with_accounts_collects_itself(hub: Path) -> None:
    (hub / "hub.db").touch()
    done = rfs("gc", hub / "blocks", check=False)
    assert done.returncode == 2 and "zos hub gc" in done.stderr


@pytest.mark.parametrize("place", ["flists/a/c.fl", f"files/{'2' * 64}.blocks"])
def test_nothing_is_removed_if_something_is_unreadable(hub: Path, place: str) -> None:
    (hub / place).write_text("garbage")
    before = sorted((hub / "blocks").glob("*/*"))
    with pytest.raises(FlistError):
        collect_garbage(hub / "blocks", [])
    assert sorted((hub / "blocks").glob("*/*")) == before


def test_blocks_of_older_flists_that_are_published_stay(hub: Path, tmp_path: Path) -> None:
    before = collect_garbage(hub / "blocks", [], grace_s=0, is_dry=True)
    newer = pack(hub, tmp_path, "older")
    place = hub / "flists" / "a" / "old.flist"
    rfs("convert", newer, place, "-s", f"dir://{hub}/blocks", "--from", f"dir://{hub}/blocks")
    assert (
        collect_garbage(hub / "blocks", [newer], grace_s=0, is_dry=True).removed == before.removed
    )
    place.unlink()
    gone = collect_garbage(hub / "blocks", [newer], grace_s=0, is_dry=True)
    assert gone.removed == before.removed + 1
