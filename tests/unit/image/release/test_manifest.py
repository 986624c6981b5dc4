"""Manifests: their content, and the releases that they describe."""

import json
from pathlib import Path

import pytest

from image.release.manifest import NAME, describe, encode_manifest, find_release

NOBODY = {"secure_boot": None, "pcrs": None}
UKI = {"signed_by": NOBODY, "pcrs": {}}


def make_release(folder: Path) -> None:
    """Write a release with the identity "id"."""
    (folder / "vmlinuz").write_bytes(b"kernel")
    files = {"vmlinuz": describe(b"kernel")}
    (folder / NAME).write_bytes(encode_manifest("1", "6.12", "id", files, UKI, locked=True))


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
    files = {"vmlinuz": describe(b"x")}
    value = json.loads(encode_manifest("1", "6.12", "id", files, UKI, locked=True))
    assert set(value) == {
        *("version", "kernel", "identity", "locked", "files", "signed_by", "pcrs"),
    }
    assert value["locked"] is True
    value = json.loads(encode_manifest("1", "6.12", "id", files, UKI, locked=False))
    assert value["locked"] is False
    assert set(value["files"]["vmlinuz"]) == {"size", "sha256"}
