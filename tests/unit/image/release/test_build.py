"""Writing a release is all or nothing."""

import errno
import os
from pathlib import Path

import pytest

from image.errors import ImageError
from image.model import Release
from image.recipe.recipe import Recipe
from image.release.build import write_release
from image.release.manifest import NAME, describe, encode_manifest


def encode(kernel: bytes) -> bytes:
    release = Release(Path(), "1", "6.12", {"vmlinuz": describe(kernel)})
    return encode_manifest(release, Recipe("virt"), "id", {}, locked=True)


def test_a_full_disk_leaves_the_old_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_release(tmp_path, {"vmlinuz": b"old", NAME: encode(b"old")})
    calls = []

    def sync(number: int) -> None:
        calls.append(number)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(ImageError, match=r"cannot write to .*: No space left on device"):
        write_release(tmp_path, {"vmlinuz": b"new", NAME: encode(b"new")})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "vmlinuz": b"old",
        NAME: encode(b"old"),
    }
