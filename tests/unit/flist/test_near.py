"""The directory of the last file, which stays open for the next one."""

import os
from pathlib import Path

import pytest

from flist.folders import Folders, Near


def test_a_directory_is_opened_once_for_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    with Folders(tmp_path) as folders:
        near = Near(folders)
        first = near.open(b"/a/b")
        assert near.open(b"/a/b") == first
        (tmp_path / "a" / "b").rename(tmp_path / "moved")
        assert near.open(b"/a/b") == first
        with pytest.raises(FileNotFoundError):
            near.open(b"/none")
        assert near.open(b"/a/b") == first
        assert os.fstat(near.open(b"")).st_ino == tmp_path.stat().st_ino
        near.close()
        near.close()
        assert os.fstat(near.open(b"/a")).st_ino == (tmp_path / "a").stat().st_ino
        near.close()
