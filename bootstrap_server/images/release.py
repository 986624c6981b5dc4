"""Images that hold a release: built once for each, kept in the cache, and sent from the disk.

`full` is a hybrid ISO with kernel and initramfs: isolinux starts it from BIOS, GRUB from UEFI, and
no network is needed until Linux runs. The kernel's command line is a slot in the configuration of
either. `uki` is the release's own `zos.efi`; whoever signed it signed its command line, too, so a
farm can't be put into it.
"""

import contextlib
import hashlib
import mmap
import os
import shutil
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bootstrap_server.channels.releases import BOOT_FILES
from bootstrap_server.channels.sources import Source
from bootstrap_server.errors import TemplateError
from bootstrap_server.images import builders, disk, inputs
from bootstrap_server.images.workshop import Workshop, open_workshop
from bootstrap_server.script.boot import COMMAND_LINE_MAX_BYTES
from common.locks import hold_lock
from common.paths import cache_dir
from common.sealed import is_intact, seal_file
from serving.content import FileOpener, OpenFile

FULL, UKI = "full", "uki"
LAYOUT = 1  # raise it when the build changes
KEPT = 8  # images of releases that the cache holds
BUILD_DEADLINE_S = 600
LABEL = "ZERO-OS-FULL"
SLOT_BYTES = COMMAND_LINE_MAX_BYTES + 1
BLANK = b"zero-os.image=blank".ljust(SLOT_BYTES, b"\n")

ISOLINUX_CFG = b"""\
SERIAL 0 115200
DEFAULT zero-os
PROMPT 0
LABEL zero-os
  LINUX vmlinuz
  INITRD initramfs.zst
  APPEND """
GRUB_CFG = (b"echo Zero-OS: starting the kernel\nlinux /vmlinuz ", b"initrd /initramfs.zst\nboot\n")
GRUB_START = f"search --no-floppy --label {LABEL} --set root\nconfigfile (${{root}})/grub.cfg\n"


@dataclass(frozen=True, slots=True)
class Patched:
    """A file with some ranges replaced; the ETag tells both apart from all others."""

    file: OpenFile
    slots: Sequence[int]
    text: bytes
    etag: str

    @property
    def size(self) -> int:
        """Return the length in bytes."""
        return self.file.size

    async def read(self, start: int, size: int) -> bytes:
        """Return bytes of the file, or of what replaces them."""
        data = await self.file.read(start, size)
        return self.patch(start, data)

    def patch(self, start: int, data: bytes) -> bytes:
        """Return what stands at `start` instead of these bytes of the file."""
        for slot in self.slots:
            first, last = max(slot, start), min(slot + len(self.text), start + len(data))
            if first < last:
                new = self.text[first - slot : last - slot]
                data = data[: first - start] + new + data[last - start :]
        return data

    def sha256(self) -> str:
        """Return the SHA-256 of all bytes, in hex."""
        state, at = hashlib.sha256(), 0
        while data := os.pread(self.file.handle, 1 << 20, at):
            state.update(self.patch(at, data))
            at += len(data)
        return state.hexdigest()

    def close(self) -> None:
        """Close the file."""
        self.file.close()


class ReleaseImages:
    """The images of releases of one server. Threads may share one; one builds at a time."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._opener = FileOpener()
        self._inputs: inputs.Inputs | None = None
        self._slots: dict[Path, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def open_uki(self, run_mode: str) -> OpenFile:
        """Open the program that a release has for UEFI. Raises `NotThereError`."""
        return self._source.open(run_mode, "zos.efi")

    def open_full(self, run_mode: str, command_line: str) -> Patched:
        """Open the image of what a run mode boots, building it first if need be."""
        text = command_line.encode("ascii").ljust(SLOT_BYTES, b"\n")
        if len(text) != SLOT_BYTES:
            raise TemplateError("the kernel command line is longer than the kernel accepts")
        with self._lock:
            path = self._prepare(run_mode)
            if path not in self._slots:
                self._slots = {path: find_slots(path), **self._slots}
        identity = hashlib.sha256(path.name.encode() + text).hexdigest()
        file = self._opener.open(path, f'"{path.name}"')
        os.utime(file.handle)
        return Patched(file, self._slots[path], text, f'"{identity}"')

    def _prepare(self, run_mode: str) -> Path:
        """Return the image of a release, which the cache keeps by what it is made of."""
        release = self._source.find(run_mode).identity
        with contextlib.ExitStack() as stack:
            files = {}
            for name in BOOT_FILES:
                files[name] = self._source.open_pinned(run_mode, release, name)
                stack.callback(files[name].close)
            found = self._inputs = self._inputs or inputs.find_inputs()
            path = place_of([file.etag for file in files.values()], found.digests.values())
            if path in self._slots and path.exists():
                return path
            guard = cache_dir("bootstrap") / "full.lock"
            with hold_lock(guard, "making the image of a release", BUILD_DEADLINE_S):
                if not is_intact(path):
                    build(path, files, found.archives)
        return path


def place_of(etags: Sequence[str], digests: Iterable[str]) -> Path:
    """Return where the cache keeps the image of these boot files."""
    parts = [LAYOUT, *etags, *sorted(digests), ISOLINUX_CFG, GRUB_CFG, GRUB_START, LABEL]
    identity = hashlib.sha256(repr(parts).encode()).hexdigest()
    return cache_dir("bootstrap") / f"full-{identity[:32]}.iso"


def build(path: Path, files: Mapping[str, OpenFile], archives: Sequence[Path]) -> None:
    """Build the image of these boot files at `path`; the oldest images make room."""
    with open_workshop(archives) as shop:
        output = build_full(shop, files)
        with open(output, "rb") as stream:
            os.fsync(stream.fileno())
        forget_oldest(path.parent)
        seal_file(output, path)
        output.replace(path)
    find_slots(path)


def build_full(shop: Workshop, files: Mapping[str, OpenFile]) -> Path:
    """Return an ISO with an unpersonalised command line for each boot loader."""
    boot = shop.write("full/efi.img", bytes(builders.EFI_IMAGE_BYTES))
    volume = f"{builders.EFI_IMAGE_ID:08x}"
    shop.run("mkfs.fat", "--invariant", "-i", volume, "-n", disk.VOLUME_LABEL, boot)
    grub = shop.make_grub("grub.efi", GRUB_START, inputs.GRUB_MODULES, "-p", "/")
    shop.fill_fat(boot, {"EFI/BOOT/BOOTX64.EFI": grub})
    shop.write("full/isolinux.cfg", ISOLINUX_CFG + BLANK)
    shop.write("full/grub.cfg", BLANK.join(GRUB_CFG))
    shop.write("full/grub.txt", shop.read(inputs.GRUB_LICENCE))
    for name, file in files.items():
        with open(shop.folder / "full" / name, "wb") as target:
            with os.fdopen(os.dup(file.handle), "rb") as source:
                source.seek(0)
                shutil.copyfileobj(source, target, 1 << 20)
    return builders.master_iso(shop, "full", LABEL, BUILD_DEADLINE_S)


def find_slots(path: Path) -> tuple[int, ...]:
    """Return where the command lines stand. Raises `TemplateError` if there are not two."""
    slots = []
    with open(path, "rb") as stream:
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = data.find(BLANK)
            while at >= 0:
                slots.append(at)
                at = data.find(BLANK, at + SLOT_BYTES)
    if len(slots) != len(GRUB_CFG):
        raise TemplateError("the image of a release has no command lines in one piece")
    return tuple(slots)


def forget_oldest(folder: Path) -> None:
    """Remove the images that were not asked for for the longest time."""
    images = sorted(folder.glob("full-*.iso"), key=lambda path: path.stat().st_mtime)
    for path in images[: -(KEPT - 1)]:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.sha256").unlink(missing_ok=True)
