"""Audits a finished image: what it has that no release may have, or that nothing accounts for."""

import _imp
import json
import lzma
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.debian.archive import PackageArchive, open_archive
from image.errors import FormatError, ImageError
from image.formats.cpio import Member, entry_mode
from image.formats.elf import is_elf, strip_unloaded
from image.lock.model import ReleaseLock
from image.lock.wheels import fetch_wheels
from image.model import Device, Directory, Entry, File, Symlink
from image.parts.firmware import FOLDER as FIRMWARE
from image.parts.firmware import MICROCODE_FOLDER, collect_microcode, free_microcode
from image.parts.kernel import MODULES_FOLDER
from image.parts.origins import Origins, source_path
from image.parts.project import compose, describe_os, last_file, own_files
from image.parts.system import build_skeleton, bundle_certificates
from image.recipe import plan
from image.recipe.gate import is_way_in
from image.recipe.recipe import Recipe
from image.release import manifest
from image.release.inputs import Progress, gather_packages
from image.release.listing import read_initramfs
from image.tree import Tree

OURS = ("init", "etc/passwd", "etc/group")  # checked by their content
INDEX = re.compile(r"modules\.(dep|alias|symbols|softdep|weakdep|builtin|devname)[a-z.]*")
PRIVATE_KEY = re.compile(rb"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=]{24}")
PYC_HEADER_BYTES = 16


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be in a release, and why."""

    path: str
    why: str


def audit_folder(
    folder: Path, recipe: Recipe, lock: ReleaseLock, progress: Progress, mirror: Path | None = None
) -> list[Finding]:
    """Audit the release in `folder`, built from `recipe` and `lock`. Raises `ZosError`."""
    about = describe_os(recipe, *read_names(folder))
    return audit_members(read_initramfs(folder), about, recipe, lock, progress, mirror)


def audit_members(
    members: Iterable[Member],
    about: str,
    recipe: Recipe,
    lock: ReleaseLock,
    progress: Progress,
    mirror: Path | None = None,
) -> list[Finding]:
    """Audit all `members` of what was built; `about` is the content of its os-release."""
    _, packages = gather_packages(lock.debian, progress, mirror)
    places = fetch_wheels(lock.wheels, recipe.architecture, mirror)
    progress("auditing the image")
    with open_archive(packages) as archive:
        origins = Origins(archive, dict(zip(lock.wheels, places, strict=True)))
        return Auditor(recipe, about, archive, origins).audit(members)


def read_names(folder: Path, name: str = manifest.NAME) -> tuple[str, str]:
    """Return the version and the identity in the manifest `name` of a folder."""
    try:
        value = json.loads((folder / name).read_bytes())
        return str(value["version"]), str(value["identity"])
    except OSError as error:
        raise ImageError(f"cannot read {folder / name}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FormatError(f"cannot use {folder / name}: it has no version or identity") from error


class Auditor:
    """Knows what a release, or the flist, of `recipe` may contain."""

    def __init__(
        self, recipe: Recipe, about: str, archive: PackageArchive, origins: Origins
    ) -> None:
        self._archive = archive
        self._origins = origins
        self._own = Tree()
        for part in (compose(recipe), build_skeleton(recipe), own_files(recipe, about)):
            self._own.merge(part)
        if recipe.kind.has_kernel:
            self._own.merge(last_file())
        if recipe.microcode:
            self._own.merge(free_microcode())

    def audit(self, members: Iterable[Member]) -> list[Finding]:
        """Return what is wrong; `members` are those of the whole initramfs."""
        rows = list(members)
        parents = {parent for row in rows for parent in parents_of(row.name) if not is_folder(row)}
        found = [Finding(row.name, why) for row in rows for why in self._problems(row, parents)]
        missing = sorted({path for path, _ in self._own.files()} - {row.name for row in rows})
        return found + [Finding(path, "is missing") for path in missing if self._is_needed(path)]

    def _is_needed(self, path: str) -> bool:
        """Return whether a file of our own must be there; unreachable modules are left out."""
        return not path.endswith(".py")

    def _problems(self, row: Member, parents: set[str]) -> Iterator[str]:
        yield from check_mode(row)
        if (row.uid, row.gid) != (0, 0):
            yield f"belongs to {row.uid}:{row.gid}"
        if row.name not in OURS and is_way_in(row.name):
            yield "is a way into a node"
        if PRIVATE_KEY.search(row.content) and not self._is_published(row):
            yield "contains a private key"
        if not (is_folder(row) and row.name in parents) and not self._is_accounted(row):
            yield "is from no package, wheel or part of the recipe, or was changed"

    def _is_published(self, row: Member) -> bool:
        """Return whether a file is a package's or wheel's own, so that nothing in it is secret.

        GnuTLS has the keys of its self-tests in its library.
        """
        original = self._origins.read(row.name)
        return isinstance(original, bytes) and is_made_of(row, original)

    def _is_accounted(self, row: Member) -> bool:
        path = row.name
        if path in self._own and is_same(row, self._own[path]):
            return True
        if path.startswith(f"{MICROCODE_FOLDER}/") and stat.S_ISREG(row.mode):
            made = collect_microcode(self._archive)
            return path in made and is_same(row, made[path])
        if path.startswith(f"{MODULES_FOLDER}/") and path not in self._archive:
            return path.count("/") == 4 and INDEX.fullmatch(path.split("/")[4]) is not None
        if path == plan.CERTIFICATE_BUNDLE:
            return row.content == bundle_certificates(self._archive)
        return self._is_copy(row)

    def _is_copy(self, row: Member) -> bool:
        """Return whether a file is that of a package or wheel, perhaps stripped or compiled."""
        source = source_path(row.name)
        original = self._origins.read(row.name)
        if source in self._own and isinstance(own := self._own[source], File):
            original = own.content
        if isinstance(original, str):
            target = row.content.decode(errors="surrogateescape")
            suffix = ".xz" if row.name.startswith(f"{FIRMWARE}/") else ""
            return stat.S_ISLNK(row.mode) and target in (original, original + suffix)
        return original is not None and stat.S_ISREG(row.mode) and is_made_of(row, original)


def is_made_of(row: Member, original: bytes) -> bool:
    """Return whether a file is `original`, or its stripped, compiled or compressed form."""
    if row.name.endswith(".pyc"):
        head = row.content[:PYC_HEADER_BYTES]
        if len(head) < PYC_HEADER_BYTES:
            return False
        return head[8:] == _imp.source_hash(int.from_bytes(head[:4], "little"), original)
    if row.content == original:
        return True
    if row.name.startswith(f"{FIRMWARE}/") and row.name.endswith(".xz"):
        try:
            return lzma.decompress(row.content) == original
        except lzma.LZMAError:
            return False
    try:
        return is_elf(original) and row.content == strip_unloaded(original)
    except FormatError:
        return False


def check_mode(row: Member) -> Iterator[str]:
    """Yield what is wrong with a mode."""
    if row.mode & (stat.S_ISUID | stat.S_ISGID):
        yield "is set-user-ID or set-group-ID"
    if not row.mode & stat.S_IWOTH or stat.S_ISLNK(row.mode) or stat.S_ISCHR(row.mode):
        return
    if not (is_folder(row) and row.mode & stat.S_ISVTX):
        yield "can be written by anybody"


def is_same(row: Member, entry: Entry) -> bool:
    """Return whether a member of an archive is this entry."""
    if entry_mode(entry) != row.mode or (row.uid, row.gid) != (entry.uid, entry.gid):
        return False
    match entry:
        case File():
            return row.content == entry.content
        case Symlink():
            return row.content == entry.target.encode()
        case Device():
            return row.device == (entry.major, entry.minor)
        case Directory():
            return True


def is_folder(row: Member) -> bool:
    """Return whether a member is a directory."""
    return stat.S_ISDIR(row.mode)


def parents_of(path: str) -> Iterator[str]:
    """Yield the folders in which `path` is."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
