"""The release store: whole files only, each release once, nothing needed is removed."""

import json
from pathlib import Path

import pytest

from common.errors import ZosError
from common.releases.layout import Layout
from image.release.store import (
    add_release,
    collect_garbage,
    demand_release,
    hold_store,
    list_releases,
)
from tests.helpers.releases.store import write_release


def ignore(_: str) -> None:
    """Show no progress."""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "store")
    with hold_store(made, "a test"):
        return made


def test_a_release_is_added_once(layout: Layout, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "r", "1.0")
    said: list[str] = []
    manifest = add_release(layout, folder, said.append)
    assert len(said) == 2
    for name, file in manifest.files.items():
        assert layout.blob(file.sha256).read_bytes() == (folder / name).read_bytes()
    add_release(layout, folder, said.append)
    assert len(said) == 2
    assert list(list_releases(layout)) == ["1.0"]


def test_two_releases_of_one_version_are_refused(layout: Layout, tmp_path: Path) -> None:
    add_release(layout, write_release(tmp_path / "a", "1.0"), ignore)
    before = layout.release("1.0").read_bytes()
    with pytest.raises(ZosError, match=r"another release 1\.0"):
        add_release(layout, write_release(tmp_path / "b", "1.0", kernel="6.12"), ignore)
    assert layout.release("1.0").read_bytes() == before


def test_a_file_that_is_not_the_manifest_s(layout: Layout, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "r", "1.0")
    (folder / "vmlinuz").write_bytes(b"another kernel")
    with pytest.raises(ZosError, match="not the file that its manifest names"):
        add_release(layout, folder, ignore)
    assert list_releases(layout) == {}
    assert list((layout.top / "sha256").iterdir()) == []


def test_a_link_or_a_missing_file(layout: Layout, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "r", "1.0")
    (folder / "vmlinuz").unlink()
    with pytest.raises(ZosError, match="cannot add"):
        add_release(layout, folder, ignore)
    (folder / "vmlinuz").symlink_to("/dev/zero")
    with pytest.raises(ZosError, match="cannot add"):
        add_release(layout, folder, ignore)
    with pytest.raises(ZosError, match="cannot read"):
        add_release(layout, tmp_path / "nowhere", ignore)


def test_a_damaged_file_is_found_and_mended(layout: Layout, tmp_path: Path) -> None:
    folder = write_release(tmp_path / "r", "1.0")
    manifest = add_release(layout, folder, ignore)
    place = layout.blob(manifest.files["vmlinuz"].sha256)
    place.write_bytes(place.read_bytes()[:-1] + b"x")
    with pytest.raises(ZosError, match="has lost vmlinuz"):
        demand_release(layout, "1.0")
    add_release(layout, folder, ignore)
    demand_release(layout, "1.0")


def test_garbage_is_what_nothing_refers_to(layout: Layout, tmp_path: Path) -> None:
    kept = add_release(layout, write_release(tmp_path / "a", "1.0"), ignore)
    gone = add_release(layout, write_release(tmp_path / "b", "1.1"), ignore)
    history = layout.blob("0" * 64)
    history.write_bytes(b"history")
    (layout.top / "sha256" / ".left.tmp").write_bytes(b"half a file")
    count, size = collect_garbage(layout, ["1.0"], ["0" * 64])
    assert count == 5  # a manifest in two places, two files, and what a killed process left
    assert size > 0
    demand_release(layout, "1.0")
    assert history.exists()
    assert not layout.release("1.1").exists()
    assert not any(layout.blob(file.sha256).exists() for file in gone.files.values())
    assert all(layout.blob(file.sha256).exists() for file in kept.files.values())


def test_a_download_goes_on_while_garbage_is_collected(layout: Layout, tmp_path: Path) -> None:
    manifest = add_release(layout, write_release(tmp_path / "a", "1.0"), ignore)
    with layout.blob(manifest.files["vmlinuz"].sha256).open("rb") as stream:
        first = stream.read(4)
        collect_garbage(layout, [], [])
        assert (first + stream.read()) == (tmp_path / "a" / "vmlinuz").read_bytes()


def test_only_one_process_writes(layout: Layout) -> None:
    with hold_store(layout, "the first"):
        with pytest.raises(ZosError, match="has not finished"):
            with hold_store(layout, "the second", 0.1, ignore):
                raise AssertionError("both hold the store")


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(json.dumps({}))
    with pytest.raises(ZosError, match="cannot write"):
        with hold_store(Layout(tmp_path / "file"), "a test"):
            raise AssertionError("a file is no store")
