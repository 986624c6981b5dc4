"""Chooses which entries of a directory are packed."""

import fnmatch
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from common.mounts import read_mounts
from flist.model import Route

KERNEL_KINDS = frozenset(
    ("proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "pstore",
     "bpf", "devpts", "mqueue", "binfmt_misc", "fusectl", "efivarfs", "rpc_pipefs", "selinuxfs")
)  # fmt: skip
"""File systems that show the state of the kernel: their files change while they are read, some have
no end, and none means anything elsewhere."""


class Choice(NamedTuple):
    """What is left out: entries whose path matches one of `patterns`; `own`, files and directories
    that the pack itself writes, by the device and inode of their directory and their name; and what
    is in directories on other file systems: all of them with `is_one_file_system`, or else those of
    the kernel, of which `kernel_devices` has the numbers."""

    patterns: Sequence[re.Pattern[bytes]] = ()
    own: Mapping[tuple[int, int, bytes], str] = {}
    is_one_file_system: bool = False
    kernel_devices: Mapping[int, str] = {}

    def excludes(self, path: bytes) -> bool:
        """Return whether a pattern matches a path below the packed directory."""
        return any(pattern.search(path) for pattern in self.patterns)

    def foreign(self, device: int, parent: int) -> str | None:
        """Return the reason to leave out what is in a directory on `device`, if it is another one
        than its parent's: empty if the user asked for that, None if there is no reason."""
        if device == parent:
            return None
        if self.is_one_file_system:
            return ""
        return self.kernel_devices.get(device)


def make_choice(
    meta: Path, routes: Sequence[Route], exclude: Sequence[str], *, is_one_file_system: bool
) -> Choice:
    """Return the choice for a pack that writes the flist `meta` and the stores of `routes`."""
    own = {}
    folders = [Path(unquote(urlsplit(r.url).path)) for r in routes if r.url.startswith("dir://")]
    for path, what in [(meta, "the flist itself"), *((folder, "a store") for folder in folders)]:
        place = path.resolve()
        while not place.parent.is_dir():  # made later, while the tree is listed perhaps
            place = place.parent
        status = place.parent.stat()
        own[status.st_dev, status.st_ino, os.fsencode(place.name)] = what
    patterns = [compile_pattern(text) for text in exclude]
    return Choice(patterns, own, is_one_file_system, find_kernel_devices())


def compile_pattern(text: str) -> re.Pattern[bytes]:
    """Return an expression that finds a pattern in a path like b"/a/b".

    A pattern with a slash is for the whole path, another one for the name; `*` matches slashes.
    """
    words = text.strip("/")
    start = "^/" if "/" in text.rstrip("/") else "/"
    middle = "" if start == "^/" else "(?!.*/)"
    return re.compile(os.fsencode(f"(?s:{start}{middle}{fnmatch.translate(words)})"))


def find_kernel_devices() -> dict[int, str]:
    """Return the types of the mounted file systems of the kernel by device; none without /proc."""
    try:
        entries = read_mounts()
    except OSError:
        return {}
    found = {}
    for entry in entries:
        if entry.kind in KERNEL_KINDS:
            major, _, minor = entry.device.partition(":")
            found[os.makedev(int(major), int(minor))] = entry.kind
    return found
