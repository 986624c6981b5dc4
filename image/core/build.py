"""Builds core.tar: the root file system of a node's daemons, of which a flist is made."""

from pathlib import Path

from common.debian.archive import open_archive
from common.scratch import scratch
from image.core.manifest import NAME, TAR, Core, encode_core, find_core
from image.formats.tar import write_tar
from image.lock.model import load_lock, lock_of, request_of
from image.model import Directory
from image.parts.services import check_services
from image.recipe import plan
from image.recipe.kind import CORE
from image.recipe.load import load_recipe
from image.release import sbom
from image.release.build import prepare_output, write_release
from image.release.inputs import Inputs, Progress, gather_inputs, wheel_places
from image.release.manifest import describe
from image.release.trees import Trees

DEFAULT_PROFILE = "core"
LEVEL = 0  # nothing is compressed here; the flist's blocks are


def build_core(
    output: Path,
    *,
    profile: str | Path = DEFAULT_PROFILE,
    progress: Progress,
    mirror: Path | None = None,
    allow_unlocked: bool = False,
    is_debug: bool = False,
) -> Core:
    """Build core.tar of the current sources in `output`, and return what it is.

    The arguments are as those of `build_release`. What is in `output` already with the same inputs
    is kept. Raises `ZosError`.
    """
    recipe = load_recipe(profile, debug=is_debug, kind=CORE)
    check_services(recipe)
    prepare_output(output)
    lock = load_lock(request_of(recipe, lock_of(profile)))
    inputs = gather_inputs(
        recipe, lock, LEVEL, progress, mirror=mirror, allow_unlocked=allow_unlocked
    )
    return find_core(output, inputs.identity) or make_core(output, inputs, progress)


def make_core(output: Path, inputs: Inputs, progress: Progress) -> Core:
    """Make all files in memory, then write them to `output`."""
    with open_archive(inputs.packages) as archive, scratch("core") as place:
        made = int(archive.member(plan.PYTHON).mtime)
        trees = Trees(inputs, archive, place, progress)
        tree = trees.system()
        tree.merge(trees.project())
        files = [path for path, entry in tree.items() if not isinstance(entry, Directory)]
        about = ("zero-os-core", inputs.version, inputs.identity, made)
        bill = sbom.list_origins(*about, files, archive, wheel_places(inputs))
    progress("writing core.tar")
    contents = {TAR: write_tar(tree, made), sbom.NAME: bill}
    described = {name: describe(content) for name, content in contents.items()}
    core = Core(output, inputs.version, inputs.identity, described)
    contents[NAME] = encode_core(core, inputs.recipe, locked=inputs.is_locked)
    write_release(output, contents)
    return core
