"""Merges layers independently of our code: GNU tar unpacks each, overlayfs merges them."""

import contextlib
import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"


def join_layers(work: Path, layers: Sequence[bytes]) -> Path:
    """Return a folder with the tree of `layers` (lowest first); needs root and overlayfs."""
    folders = []
    for number, layer in enumerate(layers):
        target = work / f"layer{number}"
        target.mkdir(parents=True)
        unpack = ["tar", "-x", "-p", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
        subprocess.run([*unpack, "-C", target], input=layer, check=True)
        translate_whiteouts(target)
        folders.append(target)
    mountpoint, joined = work / "mnt", work / "joined"
    mountpoint.mkdir()
    joined.mkdir()
    lower = ":".join(map(str, reversed(folders)))
    subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={lower}", mountpoint], check=True
    )
    try:
        # A copy, so that hidden names no longer count as hard links.
        subprocess.run(["rsync", "-aHAX", f"{mountpoint}/", f"{joined}/"], check=True)
    finally:
        subprocess.run(["umount", mountpoint], check=True)
    return joined


def translate_whiteouts(root: Path) -> None:
    """Replace whiteout files by those of overlayfs: devices 0/0, and an attribute for opaque
    directories."""
    for found in sorted(root.rglob(f"{WHITEOUT}*")):
        folder = found.parent
        kept = folder.stat()
        found.unlink()
        if found.name == OPAQUE:
            os.setxattr(folder, b"trusted.overlay.opaque", b"y")
        else:
            with contextlib.suppress(FileExistsError):  # the layer has a new entry of that name
                os.mknod(folder / found.name.removeprefix(WHITEOUT), stat.S_IFCHR, 0)
        os.utime(folder, ns=(kept.st_atime_ns, kept.st_mtime_ns))
