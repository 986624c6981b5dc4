"""What root gives the identity daemon: copies, and the folder on a disk."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from common.mounts import MS_BIND, mount, read_mounts, unmount
from core.errors import CoreError
from core.identity.choose import Places, choose
from core.identity.places import PUBLIC_KEY, SIGNATURES
from core.identity.places import SEED as SEED_FILE
from core.identity.prepare import (
    bind_folder,
    copy_measurements,
    give_device,
    give_folder,
    make_folder,
)
from core.places import IDENTITY
from tests.helpers.needs import need_root

UID = IDENTITY.number


@pytest.fixture
def place() -> Iterator[Path]:
    """Yield a folder that every user can reach, as those of pytest can't be."""
    need_root()
    with tempfile.TemporaryDirectory(prefix="zos-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def as_user(check: Callable[[], bool]) -> bool:
    """Return whether a check holds for the user, in a process of its own."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(UID)
            os.setuid(UID)
            os._exit(0 if check() else 1)
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def test_the_files_of_the_boot_are_the_users_to_read(place: Path) -> None:
    extra, folder = place / "extra", place / "measured"
    extra.mkdir()
    (extra / "tpm2-pcr-signature.json").write_bytes(b"{}")
    (extra / "tpm2-pcr-public-key.pem").write_bytes(b"key")
    copy_measurements(extra, folder, IDENTITY)
    for name, content in ((SIGNATURES, b"{}"), (PUBLIC_KEY, b"key")):
        status = (folder / name).stat()
        assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (UID, 0o400)
        assert (folder / name).read_bytes() == content
    (extra / "tpm2-pcr-public-key.pem").unlink()
    copy_measurements(extra, folder, IDENTITY)  # of another boot, in which there is none
    assert not (folder / PUBLIC_KEY).exists()


def test_the_device_is_the_users_alone(place: Path) -> None:
    device = place / "tpmrm0"
    give_device(device, IDENTITY)
    device.touch()
    give_device(device, IDENTITY)
    status = device.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (UID, UID, 0o600)


def test_the_disks_folder_is_open_to_the_user_and_the_disk_is_not(place: Path) -> None:
    disk, target = place / "disk", place / "target"
    disk.mkdir(mode=0o700)
    (disk / "other").write_text("closed")
    bind_folder(disk / "identity", target, IDENTITY)
    try:
        assert as_user(lambda: choose(Places(None, target)).kind == "disk")
        assert not as_user(lambda: bool(list(disk.iterdir())))
        assert (disk / "identity" / SEED_FILE).stat().st_uid == UID
        bind_folder(disk / "identity", target, IDENTITY)  # as after a restart
        assert [entry.target for entry in read_mounts()].count(str(target)) == 1
        assert choose(Places(None, target)).kind == "disk"
        bind_folder(None, target, IDENTITY)
        assert not target.exists()
    finally:
        unmount(target)


def test_an_update_mounts_it_beside_the_earlier_flists_mount(place: Path) -> None:
    disk, run, earlier = (place / name for name in ("disk", "run", "earlier"))
    for folder in (disk, run, earlier):
        folder.mkdir()
    mount(str(run), earlier, "", MS_BIND)
    try:
        bind_folder(disk / "identity", earlier / "target", IDENTITY)
        first = choose(Places(None, earlier / "target"))
        bind_folder(disk / "identity", run / "target", IDENTITY)
        assert choose(Places(None, run / "target")).node == first.node
        bind_folder(None, run / "target", IDENTITY)
        assert choose(Places(None, earlier / "target")).node == first.node
    finally:
        for mounted in (run / "target", earlier / "target", earlier):
            unmount(mounted)


def test_a_disk_without_owners_is_done_without(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAT: its files belong to root."""

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    (place / "disk").mkdir()
    monkeypatch.setattr(os, "fchown", refuse)
    bind_folder(place / "disk" / "identity", place / "target", IDENTITY)
    assert not (place / "target").exists()
    assert "cannot keep a seed on the disk" in capsys.readouterr().err
    (place / "disk" / "identity" / SEED_FILE).write_bytes(b"a seed")
    with pytest.raises(CoreError, match="cannot reach the seed"):
        bind_folder(place / "disk" / "identity", place / "target", IDENTITY)


def test_a_disk_that_is_read_only_keeps_the_identity_that_it_has(place: Path) -> None:
    disk = place / "disk"
    disk.mkdir()
    mount("tmpfs", disk, "tmpfs")
    try:
        bind_folder(disk / "identity", place / "target", IDENTITY)
        first = choose(Places(None, place / "target"))
        unmount(place / "target")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        bind_folder(disk / "identity", place / "target", IDENTITY)
        assert choose(Places(None, place / "target")).node == first.node
    finally:
        unmount(place / "target")
        unmount(disk)


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_folder_is_not_used(place: Path, kind: str) -> None:
    """A disk is the farmer's to fill; a link would lead anywhere."""
    path, elsewhere = place / "identity", place / "elsewhere"
    elsewhere.mkdir()
    if kind == "link":
        path.symlink_to(elsewhere)
    else:
        path.touch()
    with pytest.raises(OSError):
        make_folder(path, 0o700, IDENTITY)
    assert elsewhere.stat().st_uid == 0


@pytest.mark.parametrize("cache", [{"fault": "no answer", "place": None}, {"place": "/dev/null"}])
def test_a_disk_that_cannot_be_used_may_have_a_seed(
    place: Path, cache: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    """No other is made; with a TPM, the daemon looks whether the seed is there."""
    target = place / "target"
    with pytest.raises(CoreError, match=r"a seed may be on the disk|cannot reach the seed"):
        give_folder(cache, target, has_tpm=False)
    assert not target.exists()
    give_folder(cache, target, has_tpm=True)
    assert target.exists() and not target.is_mount()
    assert "identity: " in capsys.readouterr().err
    give_folder({"fault": "", "place": None}, target, has_tpm=True)
    assert not target.exists()
