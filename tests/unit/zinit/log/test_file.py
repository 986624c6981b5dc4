"""Log files: removed, renamed, truncated, and planted by the user of a service."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zinit.log.file import LogFile

USER = 4242


class Log:
    """A log file, its lines and what it reports."""

    def __init__(self, path: Path, size_bytes: int = 1 << 20, keep: int = 2) -> None:
        self.path = path
        self.reports: list[str] = []
        self._file = LogFile(str(path), size_bytes, keep, self.reports.append)

    def write(self, *lines: str) -> None:
        self._file.write([line.encode() for line in lines])

    @property
    def text(self) -> str:
        return self.path.read_text()

    def close(self) -> None:
        self._file.close()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "logs" / "web.log")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A folder that the service's user owns."""
    if os.getuid():
        pytest.skip("only root gives files away")
    folder = tmp_path / "theirs"
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def give(path: Path) -> None:
    os.chown(path, USER, USER, follow_symlinks=False)


def test_a_removed_file_is_begun_anew_at_the_next_write(log: Log) -> None:
    log.write("one")
    log.path.unlink()
    log.write("two")
    assert log.text == "two\n"


def test_a_renamed_file_is_begun_anew_at_the_next_write(log: Log) -> None:
    log.write("one")
    moved = log.path.rename(log.path.with_name("web.log.old"))
    log.write("two")
    assert (moved.read_text(), log.text) == ("one\n", "two\n")


def test_a_removed_folder_is_made_again(log: Log) -> None:
    log.write("one")
    log.path.unlink()
    log.path.parent.rmdir()
    log.write("two")
    assert log.text == "two\n"


def test_no_lines_only_open_the_file(log: Log) -> None:
    log.write()
    assert log.text == ""


def test_a_truncated_file_is_not_rotated_too_early(tmp_path: Path) -> None:
    log = Log(tmp_path / "a", size_bytes=20)
    log.write("0123456789")
    os.truncate(log.path, 0)
    log.write("abcdefghijklm")
    assert names(tmp_path) == ["a"]
    log.write("0123456789")
    assert names(tmp_path) == ["a", "a.1"]


def test_rotation_keeps_a_number_of_files(tmp_path: Path) -> None:
    log = Log(tmp_path / "a", size_bytes=4)
    for line in ("one", "two", "six", "ten"):
        log.write(line)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"a": "ten\n", "a.1": "six\n", "a.2": "two\n"}


def test_a_link_in_place_of_the_file_is_not_followed(theirs: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("secret\n")
    (theirs / "web.log").symlink_to(victim)
    log = Log(theirs / "web.log")
    log.write("injected")
    assert victim.read_text() == "secret\n"
    assert log.reports == [
        f"cannot write {theirs}/web.log: Too many levels of symbolic links; lines are lost"
    ]


def plant_link(theirs: Path, victim: Path) -> None:
    (theirs / "sub").symlink_to(victim)
    give(theirs / "sub")


def plant_moved_link(theirs: Path, victim: Path) -> None:
    (theirs / "sub").symlink_to(victim)


@pytest.mark.parametrize("plant", [plant_link, plant_moved_link])
def test_a_link_in_a_folder_of_somebody_else_is_not_followed(
    theirs: Path, tmp_path: Path, plant: Callable[[Path, Path], None]
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    plant(theirs, victim)
    log = Log(theirs / "sub" / "web.log")
    log.write("injected")
    assert names(victim) == []
    assert "a link on the way to it does not belong to root" in log.reports[0]


def test_links_of_root_are_followed(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "absolute").symlink_to(tmp_path / "run")
    (tmp_path / "relative").symlink_to("./absolute/../absolute")
    log = Log(tmp_path / "relative" / "web.log")
    log.write("one")
    assert (tmp_path / "run" / "web.log").read_text() == "one\n"
    (tmp_path / "loop").symlink_to("loop")
    log = Log(tmp_path / "loop" / "web.log")
    log.write("one")
    assert "Too many levels of symbolic links" in log.reports[0]


def test_hard_links_fifos_and_files_of_others_are_refused(theirs: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("")
    os.link(victim, theirs / "hard")
    os.mkfifo(theirs / "fifo")
    reader = os.open(theirs / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    (theirs / "other").write_text("")
    os.chown(theirs / "other", USER + 1, 0)
    for name, reason in (
        ("hard", "it has several names, in a folder that others can write"),
        ("fifo", "not a regular file"),
        ("other", "somebody else owns it"),
    ):
        log = Log(theirs / name)
        log.write("injected")
        assert log.reports == [f"cannot write {theirs / name}: {reason}; lines are lost"]
    os.close(reader)
    assert victim.read_text() == ""


def test_a_file_that_the_service_owns_is_written(theirs: Path) -> None:
    (theirs / "web.log").write_text("")
    give(theirs / "web.log")
    log = Log(theirs / "web.log", size_bytes=4)
    log.write("one")
    log.write("two")
    assert (log.text, (theirs / "web.log.1").read_text()) == ("two\n", "one\n")


def test_descriptors_are_closed(tmp_path: Path) -> None:
    before = len(names(Path("/proc/self/fd")))
    log = Log(tmp_path / "a" / "b" / "c", size_bytes=4)
    for line in ("one", "two", "six"):
        log.write(line)
        log.path.unlink()
    (tmp_path / "a" / "b" / "c").symlink_to("x")
    log.write("ten")
    log.close()
    assert len(names(Path("/proc/self/fd"))) == before
