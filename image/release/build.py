"""Builds a release: composes its layers out of packages, wheels and sources, and writes all files.

Nothing is written to the release's folder before every file is complete; then each file is
replaced atomically, the manifest last.
"""

import contextlib
import functools
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from common.debian.archive import PackageArchive, open_archive
from common.files import open_atomic, write_atomic
from common.scratch import scratch
from image.errors import ImageError
from image.formats.cpio import write_archive
from image.lock.model import load_lock, lock_of, request_of
from image.model import Release
from image.parts.firmware import collect_microcode
from image.parts.kernel import build_modules, find_kernel
from image.parts.layers import LEVEL, cached_layer, pack_layer
from image.parts.project import build_project, describe_os, last_file
from image.parts.services import check_services
from image.parts.system import build_system, python_libraries, split_system, take_files
from image.parts.tools import check_python, unpack_tools
from image.recipe import plan
from image.recipe.load import DEFAULT_PROFILE, load_recipe
from image.recipe.recipe import Recipe
from image.recipe.values import read_key_file, read_root_file
from image.release import sbom, unified
from image.release.identity import digest
from image.release.inputs import (
    Inputs,
    Progress,
    choose_python,
    gather_inputs,
    unpack_all_wheels,
    wheel_places,
)
from image.release.listing import INITRAMFS
from image.release.manifest import NAME, describe, encode_manifest, find_release
from image.release.sbom import make_sbom
from image.release.unified import UNSIGNED, Contents, Signing, describe_uki, make_uki
from image.tree import Tree


def build_release(
    output: Path,
    *,
    profile: str | Path = DEFAULT_PROFILE,
    flist_keys: Path | None = None,
    channel_root: Path | None = None,
    progress: Callable[[str], None],
    level: int = LEVEL,
    mirror: Path | None = None,
    allow_unlocked: bool = False,
    is_debug: bool = False,
    signing: Signing = UNSIGNED,
) -> Release:
    """Build a release of the current sources in `output` and return it.

    `flist_keys` is a file of public keys; a node accepts only flists that one of them, or of the
    profile's, signed. `channel_root` is the root.json of the signed channels that a node trusts.
    `progress` is called with a short description of each step. `mirror` is a
    folder with the locked files; the network is not used then. With `allow_unlocked`, the newest
    packages are used if a locked one is nowhere to be had; the manifest says so, and the release
    can't be published. `is_debug` adds the test driver's agent. `signing` is who signs zos.efi. A
    release in `output` with the same inputs and signers is kept. Raises `ZosError`.
    """
    began = time.monotonic()
    recipe = prepare_recipe(profile, flist_keys, channel_root, is_debug=is_debug)
    check_services(recipe)
    prepare_output(output)
    lock = load_lock(request_of(recipe, lock_of(profile)))
    inputs = gather_inputs(
        recipe, lock, level, progress, mirror=mirror, allow_unlocked=allow_unlocked
    )
    release = find_release(output, inputs.version, inputs.identity, signing.fingerprints())
    if release is None:
        release = make_release(output, inputs, signing, progress)
    return replace(release, elapsed_s=time.monotonic() - began)


def prepare_recipe(
    profile: str | Path, flist_keys: Path | None, channel_root: Path | None, *, is_debug: bool
) -> Recipe:
    """Return the profile with what the command line adds to it."""
    recipe = load_recipe(profile, debug=is_debug)
    added = read_key_file(flist_keys) if flist_keys else ""
    root = read_root_file(channel_root) if channel_root else recipe.root
    return replace(recipe, keys=recipe.keys + added, root=root)


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


def make_release(output: Path, inputs: Inputs, signing: Signing, progress: Progress) -> Release:
    """Make all files of a release in memory, then write them to `output`."""
    with open_archive(inputs.packages) as archive, scratch("build") as place:
        kernel = find_kernel(archive)
        vmlinuz_path = f"boot/vmlinuz-{kernel}"
        vmlinuz = archive.read(vmlinuz_path)
        stub = archive.read(plan.stub(inputs.recipe.target))
        made = int(archive.member(vmlinuz_path).mtime)
        initramfs = b"".join(make_layers(archive, kernel, made, inputs, place, progress))
        wheels = wheel_places(inputs)
        bill = make_sbom(inputs.version, inputs.identity, made, initramfs, archive, wheels)
    contents = {"vmlinuz": vmlinuz, INITRAMFS: initramfs, sbom.NAME: bill}
    progress("building the UKI")
    about = describe_os(inputs.recipe, inputs.version)
    parts = Contents(stub, vmlinuz, initramfs, kernel, inputs.version, about)
    uki = contents[unified.NAME] = make_uki(
        parts, (*plan.parameters(inputs.recipe.target), *inputs.recipe.parameters), signing
    )
    files = {name: describe(content) for name, content in contents.items()}
    progress("writing the release")
    release = Release(output, inputs.version, kernel, files)
    contents[NAME] = encode_manifest(
        release, inputs.recipe, inputs.identity, describe_uki(uki, signing), locked=inputs.is_locked
    )
    write_release(output, contents)
    return release


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

    recipe = inputs.recipe

    @functools.cache
    def tools() -> Path:
        is_same = inputs.tools == inputs.packages
        with contextlib.nullcontext(archive) if is_same else open_archive(inputs.tools) as programs:
            check_python(programs, archive)
            unpack_tools(programs, place / "tools")
        return place / "tools"

    chosen = choose_python(inputs, archive, tools, progress)

    def modules() -> list[Tree]:
        return [build_modules(archive, kernel, recipe, tools())]

    def system() -> list[Tree]:
        libraries = python_libraries(archive, unpack_all_wheels(inputs))
        progress("byte-compiling Python and the wheels")
        extra = take_files(archive, recipe)
        tree = build_system(archive, recipe.target, libraries, frozenset(chosen), extra, tools())
        return split_system(tree)

    def project() -> list[Tree]:
        return [build_project(inputs.sources, recipe, frozenset(chosen), inputs.version, tools())]

    def layer(name: str, identity: str, what: str, make: Callable[[], list[Tree]]) -> bytes:
        def packed() -> bytes:
            progress(f"choosing {what}")
            archive_bytes = b"".join(write_archive(tree, mtime) for tree in make())
            return compress_layer(name, archive_bytes, what, inputs.level, progress)

        return cached_layer(name, identity, packed)

    early = [write_archive(collect_microcode(archive), mtime)] if recipe.microcode else []
    # What /init needs comes first: where memory ends later, it can say so.
    return [
        *early,
        layer("project", inputs.identity, "Zero-OS itself", project),
        layer("system", inputs.system_id(chosen), "libraries and Python", system),
        layer("modules", inputs.modules_id, "kernel modules", modules),
        pack_layer(write_archive(last_file(), mtime), inputs.level),
    ]


def compress_layer(name: str, data: bytes, what: str, level: int, progress: Progress) -> bytes:
    """Return `data` compressed; the same data is compressed once, whatever code made it."""

    def compress() -> bytes:
        progress(f"compressing {what} ({len(data) / 1e6:.1f} MB)")
        packed = pack_layer(data, level)
        progress(f"compressed {what} from {len(data) / 1e6:.1f} to {len(packed) / 1e6:.1f} MB")
        return packed

    return cached_layer(f"packed-{name}", digest(data, str(level)), compress)
