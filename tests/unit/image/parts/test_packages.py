"""Entries read from an archive of packages."""

import io
import tarfile
from pathlib import Path

import pytest

from common.debian.archive import open_archive
from image.model import File
from image.parts.packages import read_entry
from image.release.identity import packages_identity


def write_archive(path: Path, mode: int) -> Path:
    """Write an archive with one program of this mode."""
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("./usr/bin/mount")
        member.mode, member.size = mode, 7
        archive.addfile(member, io.BytesIO(b"program"))
    return path


def test_packages_unpacked_without_root_give_the_same_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    by_root = write_archive(tmp_path / "root.tar", 0o4755)
    by_user = write_archive(tmp_path / "user.tar", 0o755)
    assert packages_identity(by_root) == packages_identity(by_user)
    with open_archive(by_root) as archive:
        entry = read_entry(archive, "usr/bin/mount")
    assert isinstance(entry, File)
    assert (entry.content, entry.mode) == (b"program", 0o755)
