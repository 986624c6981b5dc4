"""Runs once as root before the identity daemon, and gives it what only root can get.

- its folder, and the TPM's device;
- the signed policies of the UKI that was booted, which are in the initramfs;
- the firmware's event log;
- its folder on the farmer's disk, if bring-up has mounted one: the rest of the disk stays closed.
"""

import contextlib
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common.errors import ZosError, render_error
from common.files import read_regular, write_atomic
from common.ipc.client import call
from common.mounts import MS_BIND, MS_NODEV, MS_NOSUID, MS_RDONLY, mount, unmount
from core.errors import CoreError
from core.identity.places import (
    DEVICE,
    DISK,
    EVENT_LOG,
    HOME,
    MEASURED,
    NAME,
    PUBLIC_KEY,
    SEED,
    SIGNATURES,
)
from core.places import DOOR, IDENTITY, User

# What systemd-stub hands to the initramfs, which is the root of PID 1.
EXTRA = Path("/proc/1/root/.extra")
COPIES = {"tpm2-pcr-signature.json": SIGNATURES, "tpm2-pcr-public-key.pem": PUBLIC_KEY}
LOG = "tpm0/binary_bios_measurements"
DEVICE_MODE, COPY_MODE = 0o600, 0o400


def main() -> int:
    """Prepare; what this machine does not have is left out. Return the exit status."""
    try:
        make_folder(HOME, 0o755, IDENTITY)
        give_device(DEVICE, IDENTITY)
        copy_measurements(EXTRA, MEASURED, IDENTITY)
        copy_log(MEASURED, IDENTITY)
        give_folder(call(DOOR, "status")["cache"], DISK, has_tpm=DEVICE.exists())
    except ZosError as error:
        sys.stderr.write(render_error(error, NAME))
        return error.exit_code
    return 0


def give_folder(cache: dict[str, Any], target: Path, *, has_tpm: bool) -> None:
    """Give the identity daemon its folder on the disk of the cache.

    Raises `CoreError` if the disk can't be used and a seed may be on it. With a TPM, `target` is
    left without a mount then: the daemon goes on only if its seed is in the TPM.
    """
    try:
        if fault := cache.get("fault"):  # an older bring-up does not say it
            unmount(target)
            raise CoreError(
                f"a seed may be on the disk for the cache, which can't be used: {fault}",
                hint="mend the disk, or take it out: then the node gets a new identity; reboot",
            )
        place = cache["place"]
        bind_folder(Path(place) / NAME if place else None, target, IDENTITY)
    except CoreError as error:
        if not has_tpm:
            raise
        sys.stderr.write(render_error(error, NAME))
        target.mkdir(exist_ok=True)


def bind_folder(folder: Path | None, target: Path, user: User) -> None:
    """Mount the folder on the disk for the user; without one there is no `target`.

    Raises `CoreError` if the disk fails and a seed may be on it: the node must not get another one.
    While an update runs, an earlier flist's root may have its own mount there.
    """
    unmount(target)
    with contextlib.suppress(OSError):
        target.rmdir()
    if folder is None:
        return
    try:
        make_folder(folder, 0o700, user)
    except OSError as error:
        if may_be_there(folder / SEED):
            raise CoreError(f"cannot reach the seed on the disk: {error}") from error
        said = f"{NAME}: cannot keep a seed on the disk (ext4 and btrfs can): {error}\n"
        sys.stderr.write(said)
        return
    target.mkdir(exist_ok=True)
    mount(str(folder), target, "", MS_BIND)


def may_be_there(path: Path) -> bool:
    """Return whether a file may be there: only a clear answer counts as no."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def make_folder(path: Path, mode: int, user: User) -> None:
    """Make a folder of the user; one that is there is the user's alone afterwards."""
    if not path.is_dir():
        path.mkdir(mode=mode)
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        found = os.fstat(handle)
        if (found.st_uid, found.st_gid) != (user.number, user.number):
            os.fchown(handle, user.number, user.number)
        if found.st_mode & 0o7777 != mode:
            os.fchmod(handle, mode)
    finally:
        os.close(handle)


def give_device(device: Path, user: User) -> None:
    """Let the user alone, beside root, use the TPM."""
    if device.exists():
        os.chown(device, user.number, user.number)
        device.chmod(DEVICE_MODE)


def copy_measurements(extra: Path, folder: Path, user: User) -> None:
    """Copy the signed policies for the user."""
    folder.mkdir(mode=0o755, exist_ok=True)
    for theirs, ours in COPIES.items():
        copy(extra / theirs, folder / ours, user)


def copy_log(folder: Path, user: User) -> None:
    """Copy the event log for the user; securityfs is mounted for as long as that takes."""
    place = folder / "securityfs"
    place.mkdir(exist_ok=True)
    with ExitStack() as undo:
        undo.callback(place.rmdir)
        mount("securityfs", place, "securityfs", MS_NOSUID | MS_NODEV | MS_RDONLY)
        undo.callback(unmount, place)
        copy(place / LOG, folder / EVENT_LOG, user)


def copy(source: Path, target: Path, user: User) -> None:
    """Copy a file for the user; one that is not there leaves no copy."""
    try:
        data = read_regular(source)
    except FileNotFoundError:
        target.unlink(missing_ok=True)
        return
    write_atomic(target, data, COPY_MODE)
    os.chown(target, user.number, user.number)
