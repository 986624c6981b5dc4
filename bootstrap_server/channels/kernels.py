"""An operator's own kernels: files in one folder, each a kernel with its initramfs inside.

    NAME     a file, or a link to one in this folder; upstream's "zero-os-development-zos-v3.efi"

Nothing vouches for them but who may write to the folder. A node boots one only if the address of
its image asks for it by name.
"""

import contextlib
import re
import secrets
from pathlib import Path

from bootstrap_server.channels.releases import IDENTITY_CHARS, NOT_ABSENT, PublishedRelease
from bootstrap_server.errors import ConflictError, InputError, NotThereError
from serving.content import Opener, OpenFile, Pieces

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
OWN = re.compile(rf"own\.([0-9a-f]{{{IDENTITY_CHARS}}})\.({NAME.pattern})")
# The end of a cpio archive, padded to a block: an initramfs that adds nothing to the kernel's own.
_HEADER = b"070701" + b"%08X" * 13 % (0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 11, 0)
# For images that were made when scripts asked for one.
NOTHING = (_HEADER + b"TRAILER!!!\0").ljust(512, b"\0")
NOTHING_ETAG = '"empty-initramfs"'


class Kernels:
    """The kernels in a folder; None: there are none."""

    def __init__(self, folder: Path | None, opener: Opener) -> None:
        self.folder = folder
        self.opener = opener

    def names(self) -> list[str]:
        """Return the names of all kernels, sorted."""
        if self.folder is None:
            return []
        found = (path.name for path in self.folder.iterdir() if NAME.fullmatch(path.name))
        return sorted(name for name in found if self.has(name))

    def has(self, name: str) -> bool:
        """Return whether there is such a kernel."""
        try:
            return self._find(name).is_file()
        except NotThereError:
            return False

    def open(self, name: str) -> OpenFile:
        """Open a kernel. Raises `NotThereError`, also for a link that leads outside."""
        try:
            return self.opener.open(self._find(name))
        except OSError as error:
            if error.errno in NOT_ABSENT:
                raise
            raise NotThereError("there is no such kernel") from error

    def find(self, name: str) -> PublishedRelease:
        """Return a kernel as a release to boot; its identity changes with its content."""
        with contextlib.closing(self.open(name)) as file:
            digest = file.etag.strip('"')[:IDENTITY_CHARS]
        return PublishedRelease(f"own.{digest}.{name}", name, is_whole=True)

    def open_pinned(self, identity: str, name: str) -> OpenFile | Pieces | None:
        """Open the kernel that `find` has named, or its initramfs; None for another identity."""
        match = OWN.fullmatch(identity)
        if match is None:
            return None
        file = self.open(match[2])
        if file.etag[1 : IDENTITY_CHARS + 1] == match[1]:
            if name == "vmlinuz":
                return file
            file.close()
            if name == "initramfs.zst":
                return Pieces([memoryview(NOTHING)], NOTHING_ETAG)
        else:
            file.close()
        raise NotThereError("this kernel has changed", hint="the script asks again")

    def place(self, name: str) -> Path:
        """Return where a new kernel of this name goes. Raises `ConflictError` for a folder."""
        found = self._place(name)
        if found.is_dir():
            raise ConflictError("a folder has this name")
        return found

    def link(self, name: str, target: str) -> None:
        """Make `name` lead to the kernel `target`. Raises `ConflictError` if it is a file."""
        place = self._place(name)
        if not self.has(target):
            raise NotThereError("there is no such kernel")
        if place.exists() and not place.is_symlink():
            raise ConflictError(f"{name} is a kernel, and no link: it is not replaced by one")
        step = self._place(target)
        while step.name != name and step.is_symlink():  # it ends: the target has been found
            step = step.with_name(step.readlink().name)
        if step.name == name:
            raise InputError("link", "a kernel can't lead to itself")
        waiting = place.with_name(f".{secrets.token_hex(8)}.tmp")
        waiting.symlink_to(target)
        try:
            waiting.replace(place)
        except BaseException:
            waiting.unlink(missing_ok=True)
            raise

    def _find(self, name: str) -> Path:
        """Return the file that a name leads to, which is in the folder itself."""
        place = self._place(name)
        try:
            found = place.resolve(strict=True)
            folder = place.parent.resolve(strict=True)
        except (OSError, RuntimeError) as error:  # a loop of links, before Python 3.13
            if isinstance(error, OSError) and error.errno in NOT_ABSENT:
                raise
            raise NotThereError("there is no such kernel") from error
        if found.parent != folder:
            raise NotThereError("there is no such kernel")
        return found

    def _place(self, name: str) -> Path:
        if self.folder is None:
            raise NotThereError(
                "this server has no kernels of its own", hint="its operator sets --kernels DIR"
            )
        if not NAME.fullmatch(name):
            raise NotThereError("a kernel can't have this name")
        return self.folder / name
