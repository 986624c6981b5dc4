"""Core-0's daemons find folders of their own, where their sockets are."""

from pathlib import Path

from core.places import USERS, socket_of
from node.flists.start import make_folders
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
