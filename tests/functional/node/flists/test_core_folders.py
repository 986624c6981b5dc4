"""Core-0's daemons find folders of their own, where their sockets are."""

from pathlib import Path

import pytest

from core.places import USERS, socket_of
from node.flists import start
from node.flists.start import make_folders, read_accounts
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_root


def test_each_user_has_a_folder(tmp_path: Path) -> None:
    need_root()
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/passwd").write_bytes((TOP / "core/etc/passwd").read_bytes())
    make_folders(tmp_path / "root", tmp_path)
    make_folders(tmp_path / "root", tmp_path)
    for user in USERS:
        folder = tmp_path / socket_of(user.name.removeprefix("zos-")).parent.name
        status = folder.stat()
        assert (status.st_uid, status.st_gid, status.st_mode & 0o7777) == (
            user.number,
            user.number,
            0o755,
        )
    assert not (tmp_path / "root/etc/passwd").is_symlink()


def test_users_and_groups_are_read_before_services_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flist's files come from a hub, for which zinit does not wait."""
    read: list[Path] = []
    monkeypatch.setattr(start, "read_regular", read.append)
    etc = tmp_path / "root" / "etc"
    etc.mkdir(parents=True)
    for name in ("passwd", "group"):
        (etc / name).touch()
    read_accounts(tmp_path / "root")
    assert read == [etc / "passwd", etc / "group"]
    (tmp_path / "group").touch()
    (etc / "group").unlink()
    (etc / "group").symlink_to(tmp_path / "group")  # leads out of the root
    read_accounts(tmp_path / "root")
    assert read[2:] == [etc / "passwd"]


def test_a_flist_without_users_is_no_fault(tmp_path: Path) -> None:
    read_accounts(tmp_path)
