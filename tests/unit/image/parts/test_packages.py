"""Entries read from an archive of packages."""

import io
import tarfile
from pathlib import Path

from common.debian.archive import open_archive
from image.model import File
from image.parts.packages import read_entry


def write_archive(path: Path, mode: int) -> Path:
    """Write an archive with one program of this mode."""
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo("./usr/bin/mount")
        member.mode, member.size = mode, 7
        archive.addfile(member, io.BytesIO(b"program"))
    return path


def test_no_release_has_a_set_user_id_bit(tmp_path: Path) -> None:
    with open_archive(write_archive(tmp_path / "x.tar", 0o4755)) as archive:
        entry = read_entry(archive, "usr/bin/mount")
    assert isinstance(entry, File)
    assert (entry.content, entry.mode) == (b"program", 0o755)
