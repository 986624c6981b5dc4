"""`zos image set`: a release with flists has the same files, and says which flists they are."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import ZosError
from image import cli
from image.channel.verify import verify_folder
from image.errors import ImageError
from image.release.flists import Member, make_set, parse_members
from tests.helpers.releases.store import FLIST, Maintainer, write_core, write_release


@pytest.fixture
def release(tmp_path: Path) -> Path:
    return write_release(tmp_path / "release", "1.0+ab")


@pytest.fixture
def core(tmp_path: Path) -> Path:
    return write_core(tmp_path / "core")


def members(core: Path) -> list[Member]:
    return [Member("core", "tf-zos/production-core", core)]


def test_the_files_are_the_same_ones(release: Path, core: Path, tmp_path: Path) -> None:
    found = make_set(release, members(core), tmp_path / "set")
    assert found.version.startswith("1.0+ab.set")
    assert [(one.role, one.name, one.size) for one in found.flists] == [
        ("core", "tf-zos/production-core", len(FLIST))
    ]
    assert found.flists[0].sha256 == hashlib.sha256(FLIST).hexdigest()
    for name in found.files:
        assert (release / name).samefile(tmp_path / "set" / name)
    assert verify_folder(tmp_path / "set").is_good
    assert json.loads((release / "manifest.json").read_bytes())["version"] == "1.0+ab"


def test_a_set_takes_the_place_of_another(release: Path, core: Path, tmp_path: Path) -> None:
    first = make_set(release, members(core), tmp_path / "first")
    more = [*members(core), Member("workload", "tf-zos/production", core)]
    second = make_set(tmp_path / "first", more, tmp_path / "second")
    assert second.version not in (first.version, "1.0+ab")
    assert make_set(release, more[::-1], tmp_path / "third") == second
    again = make_set(tmp_path / "first", more, tmp_path / "second")
    assert again == second


@pytest.mark.parametrize("about", [{"debug": True}, {"locked": False}, {"debug": None}])
def test_production_takes_no_set_with_a_core_for_debugging(
    release: Path, tmp_path: Path, about: dict[str, Any]
) -> None:
    found = make_set(release, members(write_core(tmp_path / "core", **about)), tmp_path / "set")
    assert (found.debug, found.locked) == (
        about.get("debug", False) is not False,
        "locked" not in about,
    )


def test_a_store_keeps_the_boot_files_once(tmp_path: Path) -> None:
    maintainer = Maintainer.begin(tmp_path)
    row = {"role": "workload", "name": "tf-zos/production", "sha256": "a" * 64, "size": 9}
    first = maintainer.publish("dev", "1.0", flists=[row])
    blobs = set((maintainer.layout.top / "sha256").iterdir())
    second = maintainer.publish("dev", "1.0", flists=[{**row, "sha256": "b" * 64}])
    new = set((maintainer.layout.top / "sha256").iterdir()) - blobs
    assert len(new) == 2  # the manifest and the history
    maintainer.promote("dev", "prod")
    assert maintainer.read("prod").release == second
    maintainer.rollback("dev", first)
    assert maintainer.read("dev").release == first


def test_a_set_whose_boot_was_withdrawn_is_not_published(tmp_path: Path) -> None:
    maintainer = Maintainer.begin(tmp_path)
    row = {"role": "workload", "name": "tf-zos/production", "sha256": "a" * 64, "size": 9}
    maintainer.publish("dev", "1.0")
    maintainer.withdraw("1.0")
    with pytest.raises(ZosError, match=r"1\.0, which it boots, was withdrawn from dev: a hole"):
        maintainer.publish("dev", "1.0", flists=[row])


def test_status_names_the_flists(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maintainer = Maintainer.begin(tmp_path)
    row = {"role": "core", "name": "tf-zos/production-core", "sha256": "a" * 64, "size": 9}
    version = maintainer.publish("dev", "1.0", flists=[row])
    assert cli.main(["status", str(maintainer.layout.top)], "zos image") == 0
    out = capsys.readouterr().out
    assert f"dev   {version}" in out
    assert f"      core     tf-zos/production-core {'a' * 16}\n" in out


def test_the_command(
    release: Path, core: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = ["set", str(release), "--output", str(tmp_path / "set")]
    assert cli.main([*call, "--core", f"tf-zos/production-core={core}", "--json"], "zos image") == 0
    value = json.loads(capsys.readouterr().out)
    assert value["flists"][0]["role"] == "core"
    with pytest.raises(ZosError, match="at least one flist"):
        cli.main(call, "zos image")


@pytest.mark.parametrize("word", ["tf-zos/x", "=x", "tf-zos/x=", ""])
def test_a_word_that_is_not_name_and_file(word: str) -> None:
    with pytest.raises(ImageError, match=r"is not NAME=FILE\.fl"):
        parse_members([("core", word)])


def test_mistakes_leave_nothing_that_looks_like_a_release(
    release: Path, core: Path, tmp_path: Path
) -> None:
    output = tmp_path / "set"
    tar = tmp_path / "core.tar"
    tar.write_bytes(b"usr/bin/zos")
    for member, why in (
        (Member("core", "tf-zos/x", tar), "it is not a flist"),
        (Member("core", "tf-zos/x", tmp_path / "none"), "cannot read"),
        (Member("core", "x", core), "is not the name of a flist"),
    ):
        with pytest.raises(ZosError, match=why):
            make_set(release, [member], output)
    (core.parent / "core.json").unlink()
    with pytest.raises(ImageError, match="nothing says whether this zos-core is for debugging"):
        make_set(release, members(core), output)
    write_core(tmp_path / "good")
    (release / "vmlinuz").write_bytes(b"other")
    with pytest.raises(ImageError, match=r"it is not the file that manifest\.json names"):
        make_set(release, members(tmp_path / "good" / "core.fl"), output)
    assert not (output / "manifest.json").exists()
    with pytest.raises(ImageError, match="it is the release itself"):
        make_set(release, members(tmp_path / "good" / "core.fl"), release)
