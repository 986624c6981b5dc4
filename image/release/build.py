"""Builds a release: composes its layers out of packages, wheels and sources, and writes all files.

Nothing is written to the release's folder before every file is complete; then each file is
replaced atomically, the manifest last.
"""

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from common.debian.archive import open_archive
from common.files import open_atomic, write_atomic
from common.scratch import scratch
from image.errors import ImageError
from image.lock.model import load_lock, lock_of, request_of
from image.model import Release
from image.parts.kernel import find_kernel
from image.parts.layers import LEVEL
from image.parts.services import check_services
from image.recipe import plan
from image.recipe.kind import RELEASE
from image.recipe.load import DEFAULT_PROFILE, load_recipe
from image.recipe.recipe import Recipe
from image.recipe.values import read_key_file, read_root_file
from image.release import sbom, unified
from image.release.assembly import Assembly
from image.release.inputs import (
    Inputs,
    Progress,
    gather_inputs,
    wheel_places,
)
from image.release.listing import INITRAMFS
from image.release.manifest import NAME, describe, encode_manifest, find_release
from image.release.sbom import make_sbom
from image.release.unified import UNSIGNED, Contents, Signing, describe_uki, make_uki


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
    recipe = load_recipe(profile, debug=is_debug, kind=RELEASE)
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
        initramfs = Assembly(inputs, archive, kernel, made, place, progress).initramfs()
        wheels = wheel_places(inputs)
        bill = make_sbom(inputs.version, inputs.identity, made, initramfs, archive, wheels)
    contents = {"vmlinuz": vmlinuz, INITRAMFS: initramfs, sbom.NAME: bill}
    progress("building the UKI")
    parts = Contents(stub, vmlinuz, initramfs, kernel, inputs.version, inputs.about)
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
