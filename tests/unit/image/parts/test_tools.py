"""The Python that compiles is of the version that reads its byte code."""

import io
import tarfile
from pathlib import Path

import pytest

from common.debian.archive import open_archive
from image.errors import ImageError
from image.parts.tools import BYTE_CODE, check_python


def write_archive(path: Path, text: bytes) -> Path:
    """Write an archive whose Python has this import system."""
    with tarfile.open(path, "w") as archive:
        member = tarfile.TarInfo(f"./{BYTE_CODE}")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text))
    return path


def test_another_version_of_python_does_not_compile(tmp_path: Path) -> None:
    one = write_archive(tmp_path / "one.tar", b"MAGIC_NUMBER = 3571")
    two = write_archive(tmp_path / "two.tar", b"MAGIC_NUMBER = 3572")
    with open_archive(one) as tools, open_archive(two) as release:
        check_python(tools, tools)
        with pytest.raises(ImageError, match="another version than that of the release") as caught:
            check_python(tools, release)
    assert caught.value.hint == "zos image update"
