"""Images that hold a release: built once for each, kept in the cache, and sent from the disk.

`full` is a hybrid ISO with kernel and initramfs: isolinux starts it from BIOS, GRUB from UEFI, and
no network is needed until Linux runs. The kernel's command line is a slot in the configuration of
either. `uki` is the release's own `zos.efi`. As it is, its signature is valid, and it belongs to no
farm: its command line is signed, too. With a farm it has load options in a slot, which systemd-stub
takes for the command line where Secure Boot is off. `secure` is a disk with `zos.efi` as it is and
a farm's signed add-on beside it (`secure.py`).
"""

import contextlib
import functools
import hashlib
import mmap
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bootstrap_server.channels import secure
from bootstrap_server.channels.releases import BOOT_FILES
from bootstrap_server.channels.sources import Source
from bootstrap_server.errors import NotThereError, TemplateError
from bootstrap_server.images import builders, disk, efi, inputs
from bootstrap_server.images.patched import Patched
from bootstrap_server.images.workshop import Workshop, open_workshop
from bootstrap_server.script.boot import COMMAND_LINE_MAX_BYTES
from common.efi.addon import make_addon
from common.efi.keys import Signer
from common.efi.pe import AMD64, machine_of
from common.locks import hold_lock
from common.paths import cache_dir
from common.sealed import is_intact, seal_file
from serving.content import FileOpener, OpenFile

FULL, UKI, SECURE = "full", "uki", "secure"
KINDS = (FULL, UKI, SECURE)
UKI_FILE = "zos.efi"
PREFIX = "release-"  # of a file in the cache
SUFFIXES = (".iso", ".efi", ".img")
LAYOUT = 1  # raise it when the build changes
HEAD_BYTES = 4096  # of a kernel, with its headers
KEPT = 8  # images of releases that the cache holds
SIGNED_KEPT = 256  # farms of images for Secure Boot, 8 KiB each
BUILD_DEADLINE_S = 600
LABEL = "ZERO-OS-FULL"
SLOT_BYTES = COMMAND_LINE_MAX_BYTES + 1
BLANK_TEXT = b"zero-os.image=blank"

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


class Recipe(NamedTuple):
    """How an image is made of a release's files: what its slots hold, and how many there are."""

    files: tuple[str, ...]
    suffix: str
    build: Callable[[Workshop, Mapping[str, OpenFile]], Path]
    slots: int
    form: Callable[[bytes], bytes]
    check: Callable[[Mapping[str, OpenFile]], None] = lambda _: None  # before the build


class ReleaseImages:
    """The images of releases of one server. Threads may share one; one builds at a time.

    `signer` signs the farms of images for Secure Boot.
    """

    def __init__(self, source: Source, signer: Signer | None = None) -> None:
        self._source = source
        self._recipes = {**RECIPES, **({SECURE: make_secure(signer)} if signer else {})}
        self._opener = FileOpener()
        self._inputs: inputs.Inputs | None = None
        self._slots: dict[Path, tuple[int, ...]] = {}
        self._lock = threading.Lock()

    def open_signed(self, run_mode: str) -> OpenFile:
        """Open a release's program for UEFI as it is. Raises `NotThereError`."""
        return self._source.open(run_mode, UKI_FILE)

    def open(self, name: str, run_mode: str, command_line: str) -> Patched:
        """Open an image of what a run mode boots, building it first if need be."""
        if len(command_line) > COMMAND_LINE_MAX_BYTES:
            raise TemplateError("the kernel command line is longer than the kernel accepts")
        if name not in self._recipes:
            raise NotThereError(
                "this server makes no images for Secure Boot: it has no key for them",
                hint="its operator can set secure_boot_key and secure_boot_certificate",
            )
        recipe = self._recipes[name]
        text = recipe.form(command_line.encode("ascii"))
        with self._lock:
            path = self._prepare(recipe, run_mode)
            if path not in self._slots:
                self._slots[path] = find_slots(path, recipe)
            slots = self._slots[path]
        identity = hashlib.sha256(path.name.encode() + text).hexdigest()
        file = self._opener.open(path, f'"{path.name}"')
        os.utime(file.handle)
        return Patched(file, slots, text, f'"{identity}"')

    def _prepare(self, recipe: Recipe, run_mode: str) -> Path:
        """Return the image of a release, which the cache keeps by what it is made of."""
        release = self._source.find(run_mode).identity
        with contextlib.ExitStack() as stack:
            files = {}
            for name in recipe.files:
                is_pinned = name in BOOT_FILES
                file = (
                    self._source.open_pinned(run_mode, release, name)
                    if is_pinned
                    else self._source.open(run_mode, name)
                )
                files[name] = file
                stack.callback(file.close)
            found = self._inputs = self._inputs or inputs.find_inputs()
            path = place_of(recipe, [file.etag for file in files.values()], found.digests.values())
            if path in self._slots and path.exists():
                return path
            guard = cache_dir("bootstrap") / "releases.lock"
            with hold_lock(guard, "making the image of a release", BUILD_DEADLINE_S):
                if not is_intact(path):
                    recipe.check(files)
                    build(path, recipe, files, found.archives)
        return path


def place_of(recipe: Recipe, etags: Sequence[str], digests: Iterable[str]) -> Path:
    """Return where the cache keeps the image of these files."""
    texts = [ISOLINUX_CFG, GRUB_CFG, GRUB_START, LABEL, recipe.form(BLANK_TEXT)]
    parts = [LAYOUT, recipe.suffix, *etags, *sorted(digests), *texts]
    identity = hashlib.sha256(repr(parts).encode()).hexdigest()
    return cache_dir("bootstrap") / f"{PREFIX}{identity[:32]}{recipe.suffix}"


def build(
    path: Path, recipe: Recipe, files: Mapping[str, OpenFile], archives: Sequence[Path]
) -> None:
    """Build an image of these files at `path`; the oldest images make room."""
    with open_workshop(archives) as shop:
        output = recipe.build(shop, files)
        find_slots(output, recipe)
        with open(output, "rb") as stream:
            os.fsync(stream.fileno())
        forget_oldest(path.parent)
        seal_file(output, path)
        output.replace(path)


def build_uki(shop: Workshop, files: Mapping[str, OpenFile]) -> Path:
    """Return the release's program with an unpersonalised command line as its load options."""
    (file,) = files.values()
    program = os.pread(file.handle, file.size, 0)
    if len(program) != file.size:
        raise TemplateError(f"{UKI_FILE} became shorter while it was read")
    return shop.write("uki.efi", efi.add_options(program, wide_slot(BLANK_TEXT)))


def build_full(shop: Workshop, files: Mapping[str, OpenFile]) -> Path:
    """Return an ISO with an unpersonalised command line for each boot loader."""
    boot = shop.write("full/efi.img", bytes(builders.EFI_IMAGE_BYTES))
    volume = f"{builders.EFI_IMAGE_ID:08x}"
    shop.run("mkfs.fat", "--invariant", "-i", volume, "-n", disk.VOLUME_LABEL, boot)
    grub = shop.make_grub("grub.efi", GRUB_START, inputs.GRUB_MODULES, "-p", "/")
    shop.fill_fat(boot, {"EFI/BOOT/BOOTX64.EFI": grub})
    shop.write("full/isolinux.cfg", ISOLINUX_CFG + text_slot(BLANK_TEXT))
    shop.write("full/grub.cfg", text_slot(BLANK_TEXT).join(GRUB_CFG))
    shop.write("full/grub.txt", shop.read(inputs.GRUB_LICENCE))
    for name, file in files.items():
        copy(file, shop.folder / "full" / name)
    return builders.master_iso(shop, "full", LABEL, BUILD_DEADLINE_S)


def make_secure(signer: Signer) -> Recipe:
    """Return how disks for Secure Boot are made, with farms that `signer` signs."""

    @functools.lru_cache(SIGNED_KEPT)  # who reads a range, or the checksum, asks again
    def form(text: bytes) -> bytes:
        return make_addon(text, SLOT_BYTES, signer)

    def build(shop: Workshop, files: Mapping[str, OpenFile]) -> Path:
        program = shop.folder / UKI_FILE
        copy(files[UKI_FILE], program)
        return secure.build_disk(shop, program, form(BLANK_TEXT))

    def check(files: Mapping[str, OpenFile]) -> None:
        secure.check_program(files[UKI_FILE], signer)

    return Recipe((UKI_FILE,), ".img", build, 1, form, check)


def check_processor(files: Mapping[str, OpenFile]) -> None:
    """Raise `NotThereError` for a kernel of another processor than the boot loaders'."""
    if machine_of(os.pread(files[BOOT_FILES[0]].handle, HEAD_BYTES, 0)) not in (None, AMD64):
        raise NotThereError(
            "this image is for x86-64, and the run mode's release is for another processor",
            hint="/uki/... is the release's own program for UEFI",
        )


def copy(file: OpenFile, path: Path) -> None:
    """Write the content of a release's file to `path`."""
    with open(path, "wb") as target, os.fdopen(os.dup(file.handle), "rb") as source:
        source.seek(0)
        shutil.copyfileobj(source, target, 1 << 20)


def text_slot(text: bytes) -> bytes:
    """Return a command line as a line of a configuration file."""
    return text.ljust(SLOT_BYTES, b"\n")


def wide_slot(text: bytes) -> bytes:
    """Return a command line as load options."""
    return efi.encode_options(text.ljust(SLOT_BYTES))


def find_slots(path: Path, recipe: Recipe) -> tuple[int, ...]:
    """Return where the command lines stand. Raises `TemplateError` if their number is wrong."""
    slots, mark = [], recipe.form(BLANK_TEXT)
    with open(path, "rb") as stream:
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at = data.find(mark)
            while at >= 0:
                slots.append(at)
                at = data.find(mark, at + len(mark))
    if len(slots) != recipe.slots:
        raise TemplateError("the image of a release has no command line in one piece")
    return tuple(slots)


def forget_oldest(folder: Path) -> None:
    """Remove the images that were not asked for for the longest time."""
    images = [path for path in folder.glob(f"{PREFIX}*") if path.suffix in SUFFIXES]
    images.sort(key=lambda path: path.stat().st_mtime)
    for path in images[: -(KEPT - 1)]:
        path.unlink(missing_ok=True)
        path.with_name(f"{path.name}.sha256").unlink(missing_ok=True)


RECIPES: Mapping[str, Recipe] = {
    FULL: Recipe(BOOT_FILES, ".iso", build_full, 2, text_slot, check_processor),
    UKI: Recipe((UKI_FILE,), ".efi", build_uki, 1, wide_slot),
}
