"""Files that are written whole or not at all."""

import os
from pathlib import Path

import pytest

from common.files import check_writable, open_atomic, write_atomic


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"new", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError), open_atomic(tmp_path / "a") as stream:
        stream.write(b"half of")
        raise RuntimeError
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_pipe_is_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "gone").symlink_to("nothing")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="not a regular file"):
            write_atomic(tmp_path / name, b"data")
        with pytest.raises(OSError, match="not a regular file"):
            check_writable(tmp_path / name)
    assert (tmp_path / "pipe").is_fifo()
    write_atomic(tmp_path / "gone", b"data")
    assert (tmp_path / "gone").read_bytes() == b"data"
