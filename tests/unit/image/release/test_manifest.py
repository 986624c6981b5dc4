"""Manifests: their content, and the releases that they describe."""

import json
from pathlib import Path

import pytest

from image.model import Artefact, Release
from image.recipe.recipe import Recipe
from image.release.manifest import NAME, describe, encode_manifest, find_release

NOBODY = {"secure_boot": None, "pcrs": None}
UKI = {"signed_by": NOBODY, "pcrs": {}}


def encode(files: dict[str, Artefact], recipe: Recipe | None = None) -> bytes:
    """Return the manifest of version 1."""
    release = Release(Path(), "1", "6.12", files)
    return encode_manifest(release, recipe or Recipe("virt"), "id", UKI, locked=True)


def make_release(folder: Path) -> None:
    """Write a release with the identity "id"."""
    (folder / "vmlinuz").write_bytes(b"kernel")
    files = {"vmlinuz": describe(b"kernel")}
    (folder / NAME).write_bytes(encode(files))


def test_only_a_complete_release_is_found(tmp_path: Path) -> None:
    make_release(tmp_path)
    release = find_release(tmp_path, "1", "id", NOBODY)
    assert release is not None
    assert release.reused
    assert release.files["vmlinuz"].size == 6
    assert find_release(tmp_path, "1", "other", NOBODY) is None
    assert find_release(tmp_path, "2", "id", NOBODY) is None
    assert find_release(tmp_path, "1", "id", {**NOBODY, "secure_boot": "ab"}) is None
    for damaged in (b"kerne", b"Kernel"):
        (tmp_path / "vmlinuz").write_bytes(damaged)
        assert find_release(tmp_path, "1", "id", NOBODY) is None
    (tmp_path / "vmlinuz").unlink()
    assert find_release(tmp_path, "1", "id", NOBODY) is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"identity": "id"}', '{"identity":"id","files":3}']
)
def test_a_release_with_a_broken_manifest_is_not_found(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert find_release(tmp_path, "1", "id", NOBODY) is None


def test_the_keys_of_a_manifest() -> None:
    value = json.loads(encode({"vmlinuz": describe(b"x")}))
    assert set(value) == {
        *("version", "kernel", "identity", "files"),
        *("profile", "architecture", "debug", "locked", "parameters", "lockdown", "kexec"),
        *("signed_by", "pcrs"),
    }
    assert (value["profile"], value["debug"]) == ("virt", False)
    assert set(value["files"]["vmlinuz"]) == {"size", "sha256"}


def test_the_manifest_of_a_debug_release_says_so() -> None:
    assert json.loads(encode({}, Recipe("mine", debug=True)))["debug"] is True
