"""Users and groups of a root that its owner may have filled with anything."""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from zinit.files.reading import parse_service
from zinit.life.unit import is_transient
from zinit.process import accounts, roots
from zinit.process.spawn import read_environment

PASSWD = "root:x:0:0::/root:/bin/sh\nweb:x:700:701::/srv:/bin/sh\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with users."""
    top = tmp_path / "root"
    (top / "etc").mkdir(parents=True)
    (top / "etc" / "passwd").write_text(PASSWD)
    (top / "etc" / "group").write_text("web:x:701:\nlog:x:9:root,web\n")
    return top


def find(root: Path, keys: str = "user: web") -> accounts.Account:
    return accounts.find_account(parse_service("a", f"exec: x\nroot: {root}\n{keys}\n")[0])


def replace(root: Path) -> Path:
    path = root / "etc" / "passwd"
    path.unlink()
    return path


def test_names_are_found_in_the_root(root: Path) -> None:
    account = find(root)
    assert (account.uid, account.gid, account.groups) == (700, 701, [9, 701])
    assert (account.name, account.home) == ("web", "/srv")


def test_a_link_inside_the_root_is_followed_inside_it(root: Path) -> None:
    (root / "usr").mkdir()
    (root / "etc").rename(root / "usr" / "etc")
    (root / "etc").symlink_to("/usr/etc")
    assert find(root).uid == 700


def test_a_link_does_not_lead_out_of_the_root(root: Path, tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("web:x:1:1::/:/bin/sh\n")
    replace(root).symlink_to("../../passwd")
    with pytest.raises(ValueError, match="there is no user 'web'"):
        find(root)


@pytest.mark.parametrize("kind", ["fifo", "device", "folder", "huge", "socket-like link"])
def test_what_is_no_usable_file_is_refused_at_once(root: Path, kind: str) -> None:
    path = replace(root)
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        if os.getuid():
            pytest.skip("only root makes devices")
        os.mknod(path, 0o020666, os.makedev(1, 5))  # /dev/zero
    elif kind == "folder":
        path.mkdir()
    elif kind == "huge":
        with path.open("wb") as stream:
            stream.truncate(8 << 30)
    else:
        path.symlink_to("passwd")
    begun = time.monotonic()
    with pytest.raises(ValueError, match="cannot read"):
        find(root)
    assert time.monotonic() - begun < 5.0


def test_a_file_system_that_hangs_has_a_deadline(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roots, "read_in_root", lambda *_: time.sleep(60))
    monkeypatch.setattr(accounts, "LOOK_UP_S", 0.05)
    with pytest.raises(ValueError, match="cannot be read in time") as caught:
        find(root)
    assert is_transient(caught.value)  # zinit tries to start the service again
    monkeypatch.setattr(accounts, "GIVE_UP_S", 0.0)
    with pytest.raises(ValueError, match="cannot be read in time"):
        find(root)  # by another child: the first has been ended
    accounts.drop_old()
    assert [os.WTERMSIG(os.waitpid(-1, 0)[1]) for _ in range(2)] == [9, 9]
    assert not accounts._open


def test_a_slow_file_system_is_heard_at_the_next_try(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However slow it is compared with one try, and though the child has been reaped meanwhile."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    read = roots.read_in_root

    def read_slowly(*words: Any) -> Any:
        gate.read_bytes()
        monkeypatch.setattr(roots, "read_in_root", read)
        return read(*words)

    monkeypatch.setattr(roots, "read_in_root", read_slowly)
    monkeypatch.setattr(accounts, "LOOK_UP_S", 0.05)
    for _ in range(2):
        with pytest.raises(ValueError, match="cannot be read in time"):
            find(root)
    gate.write_bytes(b"")
    os.waitpid(-1, 0)
    account = find(root)
    assert (account.uid, account.gid) == (700, 701)
    assert not accounts._open


def test_numbers_that_are_no_users_are_ignored(root: Path) -> None:
    lines = f"web:x:{'9' * 5000}:1::/:\nweb:x:-1:1::/:\nweb:x:4294967295:1::/:\nweb:x:٣:1::/:\n"
    (root / "etc" / "passwd").write_text(lines + PASSWD)
    assert find(root).uid == 700
    with pytest.raises(ValueError, match="there is no user"):
        find(root, f"user: '{'9' * 5000}'")


def test_an_older_kernel_follows_no_links(root: Path) -> None:
    top = os.open(root, os.O_PATH)
    fd = roots.open_by_steps(top, "/etc/passwd")
    assert os.path.samestat(os.fstat(fd), (root / "etc" / "passwd").stat())
    os.close(fd)
    (root / "etc").rename(root / "e")
    (root / "etc").symlink_to("e")
    with pytest.raises(OSError):
        roots.open_by_steps(top, "/etc/passwd")
    os.close(top)


@pytest.mark.parametrize("target", ["fifo", "/dev/zero"])
def test_the_common_environment_is_a_regular_file(tmp_path: Path, target: str) -> None:
    path = tmp_path / "environment"
    if target == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to(target)
    assert "PATH" in read_environment(str(path))
