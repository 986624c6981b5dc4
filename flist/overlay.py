"""A writable layer over a mounted flist: the kernel's overlayfs, changes in their own folder."""

import contextlib
from pathlib import Path

from common import mounts
from flist.errors import FlistError

FOLDERS = ("lower", "upper", "work")


def prepare_overlay(folder: Path) -> Path:
    """Make the folders of an overlay; return where the flist itself is to be mounted."""
    text = str(folder.absolute())
    if any(sign in text for sign in ",:\\"):
        raise FlistError(f"cannot use {folder}: overlayfs takes no path with , : or \\")
    for name in FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    return folder.absolute() / "lower"


def mount_overlay(folder: Path, target: Path) -> None:
    """Mount `folder`'s layers on `target`; the lower one must be answered by another thread."""
    lower, upper, work = (folder.absolute() / name for name in FOLDERS)
    try:
        mounts.mount_overlay(lower, upper, work, target)
    except OSError as error:
        raise FlistError(f"cannot mount an overlay on {target}: {error.strerror}") from error


def unmount_overlay(target: Path) -> None:
    """Take the overlay off, also when something in it is still open."""
    with contextlib.suppress(OSError):
        mounts.unmount(target)
