"""Builds a release: fetches packages and wheels, composes three layers, writes all files.

Nothing is written to the release's folder before every file is complete; then each file is
replaced atomically, the manifest last.
"""

import contextlib
import functools
import importlib.metadata
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from common.debian.archive import PackageArchive, open_archive
from common.debian.fetch import fetch_locked, fetch_or_resolve
from common.debian.lock import DebianLock
from common.files import open_atomic, write_atomic
from common.scratch import scratch
from image.errors import ImageError
from image.lock.model import LockedWheel, find_request, load_lock
from image.lock.wheels import fetch_wheels
from image.model import Release
from image.parts.kernel import build_modules, find_kernel
from image.parts.layers import LEVEL, cached_layer, pack_layer
from image.parts.project import OS_RELEASE, add_agent, build_project, collect_sources, read_keys
from image.parts.system import build_system, unpack_target
from image.parts.wheels import unpack_wheels
from image.recipe import plan
from image.release import unified
from image.release.identity import digest, recipe_identity, tree_identity
from image.release.manifest import NAME, describe, encode_manifest, find_release
from image.release.unified import UNSIGNED, Contents, Signing, describe_uki, make_uki
from image.tree import Tree

PROFILE = "virt"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a release, and the identities of its three layers.

    `is_locked` tells whether `debian` is the profile's lock; `packages` is the archive of it.
    """

    debian: DebianLock
    is_locked: bool
    packages: Path
    wheels: tuple[LockedWheel, ...]
    mirror: Path | None
    sources: Tree
    keys: str
    level: int
    modules_id: str
    system_id: str
    project_id: str

    @property
    def identity(self) -> str:
        """Return the identity of the release."""
        return digest(self.modules_id, self.system_id, self.project_id)

    @property
    def version(self) -> str:
        """Return the version of the release: the project's, and the identity of the build."""
        return f"{base_version()}+{self.identity[:12]}"


def base_version() -> str:
    """Return the project's own version."""
    return importlib.metadata.version("zero-os")


def build_release(
    output: Path,
    *,
    flist_keys: Path | None = None,
    progress: Callable[[str], None],
    level: int = LEVEL,
    mirror: Path | None = None,
    allow_unlocked: bool = False,
    is_debug: bool = False,
    signing: Signing = UNSIGNED,
) -> Release:
    """Build a release of the current sources in `output` and return it.

    `flist_keys` is a file of public keys; a node accepts only flists that one of them signed.
    `progress` is called with a short description of each step. `mirror` is a folder with the locked
    files; the network is not used then. With `allow_unlocked`, the newest packages are used if a
    locked one is nowhere to be had; the manifest says so, and the release can't be published.
    `is_debug` adds the test driver's agent. `signing` is who signs zos.efi. A release in `output`
    with the same inputs and signers is kept. Raises `ZosError`.
    """
    began = time.monotonic()
    keys = read_keys(flist_keys) if flist_keys else ""
    prepare_output(output)
    options = {"allow_unlocked": allow_unlocked, "is_debug": is_debug}
    inputs = gather_inputs(keys, level, progress, mirror=mirror, **options)
    release = find_release(output, inputs.version, inputs.identity, signing.fingerprints())
    if release is None:
        release = make_release(output, inputs, signing, progress)
    return replace(release, elapsed_s=time.monotonic() - began)


def prepare_output(output: Path) -> None:
    """Create the folder of a release; raise `ImageError` if it can't be written."""
    try:
        output.mkdir(parents=True, exist_ok=True)
        write_atomic(output / ".writable", b"")
        (output / ".writable").unlink(missing_ok=True)
    except OSError as error:
        raise ImageError(
            f"cannot write to {output}: {error.strerror}", hint="choose a folder with --output"
        ) from error


def gather_inputs(
    keys: str,
    level: int,
    progress: Progress,
    *,
    mirror: Path | None = None,
    allow_unlocked: bool = False,
    is_debug: bool = False,
) -> Inputs:
    """Return the inputs of the release, fetching locked packages that are not in the cache."""
    progress("checking the locked Debian packages")
    lock = load_lock(find_request(PROFILE))
    debian = lock.debian
    if allow_unlocked:
        debian, packages = fetch_or_resolve(debian, warn=progress, progress=progress)
    else:
        packages = fetch_locked(debian, mirror=mirror, progress=progress)
    is_locked = debian is lock.debian
    sources = add_agent(collect_sources()) if is_debug else collect_sources()
    base = digest(debian.identity, recipe_identity(), str(level))
    modules_id = digest("modules", base)
    system_id = digest("system", base, *(wheel.sha256 for wheel in lock.wheels))
    # This layer's os-release contains the release's version, so it depends on all layers.
    project = (base_version(), tree_identity(sources), keys)
    project_id = digest("project", modules_id, system_id, *project)
    ids = (modules_id, system_id, project_id)
    return Inputs(debian, is_locked, packages, lock.wheels, mirror, sources, keys, level, *ids)


def make_release(output: Path, inputs: Inputs, signing: Signing, progress: Progress) -> Release:
    """Make all files of a release in memory, then write them to `output`."""
    with open_archive(inputs.packages) as archive, scratch("build") as place:
        kernel = find_kernel(archive)
        vmlinuz_path = f"boot/vmlinuz-{kernel}"
        vmlinuz = archive.read(vmlinuz_path)
        stub = archive.read(plan.STUB)
        layers = make_layers(
            archive, kernel, int(archive.member(vmlinuz_path).mtime), inputs, place, progress
        )
    contents = {"vmlinuz": vmlinuz, "initramfs.zst": b"".join(layers)}
    progress("building the UKI")
    about = OS_RELEASE.format(version=inputs.version)
    initramfs = contents["initramfs.zst"]
    parts = Contents(stub, vmlinuz, initramfs, kernel, inputs.version, about)
    uki = contents[unified.NAME] = make_uki(parts, plan.PARAMETERS, signing)
    files = {name: describe(content) for name, content in contents.items()}
    progress("writing the release")
    contents[NAME] = encode_manifest(
        inputs.version,
        kernel,
        inputs.identity,
        files,
        describe_uki(uki, signing),
        locked=inputs.is_locked,
    )
    write_release(output, contents)
    return Release(output, inputs.version, kernel, files)


def write_release(output: Path, contents: dict[str, bytes]) -> None:
    """Write the files to `output` in this order; on an error, none of them.

    All data is on disk before the first file is renamed. So a server that serves this folder sees
    a mix of old and new files only for the time of the renames.
    """
    try:
        with contextlib.ExitStack() as stack:
            for name, content in reversed(contents.items()):  # the stack unwinds in reverse order
                stream = stack.enter_context(open_atomic(output / name))
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
    except OSError as error:
        raise ImageError(f"cannot write to {output}: {error.strerror}") from error


def make_layers(
    archive: PackageArchive,
    kernel: str,
    mtime: int,
    inputs: Inputs,
    place: Path,
    progress: Progress,
) -> list[bytes]:
    """Return the compressed layers of the initramfs, first to last; `place` is an empty folder."""

    @functools.cache
    def target() -> Path:
        unpack_target(archive, place / "target")
        return place / "target"

    def modules() -> Tree:
        return build_modules(archive, kernel, target())

    def system() -> Tree:
        progress("checking the node's wheels")
        places = fetch_wheels(inputs.wheels, inputs.debian.architecture, inputs.mirror)
        wheels = unpack_wheels(places, plan.PROJECT, plan.WHEELS_WITHOUT)
        progress("byte-compiling Python and the wheels")
        return build_system(archive, wheels, target())

    def project() -> Tree:
        return build_project(inputs.sources, inputs.keys, inputs.version, target())

    def layer(name: str, identity: str, what: str, make: Callable[[], Tree]) -> bytes:
        def packed() -> bytes:
            progress(f"choosing {what}")
            tree = make()
            size = tree.size_bytes() / 1e6
            progress(f"compressing {what} ({size:.1f} MB)")
            data = pack_layer(tree, mtime, inputs.level)
            progress(f"compressed {what} from {size:.1f} to {len(data) / 1e6:.1f} MB")
            return data

        return cached_layer(name, identity, packed)

    return [
        layer("modules", inputs.modules_id, "kernel modules", modules),
        layer("system", inputs.system_id, "libraries and Python", system),
        layer("project", inputs.project_id, "Zero-OS itself", project),
    ]
