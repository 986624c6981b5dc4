"""The inputs of a release, and the identities of its parts.

Packages and wheels are fetched here and nowhere else. What takes long and depends only on inputs is
cached: the compressed layers, and what the Python modules of packages and wheels import.
"""

import importlib.metadata
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from common.debian.archive import PackageArchive
from common.debian.fetch import fetch_packages
from common.paths import cache_dir
from common.run import CommandError
from image.errors import ImageError
from image.parts.choice import (
    choose_modules,
    decode_modules,
    encode_modules,
    load_known,
    scan_modules,
    store_known,
)
from image.parts.layers import cached_layer
from image.parts.project import compose, start_modules
from image.parts.reach import module_of
from image.parts.system import python_libraries
from image.parts.wheels import fetch_wheels, unpack_wheels
from image.recipe import plan, python
from image.recipe.recipe import Recipe
from image.release.identity import digest, packages_identity, recipe_identity, tree_identity
from image.tree import Tree

LOCK = Path(plan.__file__).with_name("node.lock")
MODULE_FIELDS = ("architecture", "modules", "firmware", "microcode")
DEBUG_SUFFIX = ".debug"
Progress = Callable[[str], None]
# Returns the folder with the target's Python; it is unpacked when it is first asked for.
Target = Callable[[], Path]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a release, and the identities of its layers."""

    recipe: Recipe
    packages: Path
    sources: Tree
    level: int
    packages_id: str
    modules_id: str
    libraries_id: str
    project_version: str

    @property
    def identity(self) -> str:
        """Return the identity of the release, which all of its inputs determine."""
        return digest("release", self.modules_id, self.project_id)

    @property
    def reach_id(self) -> str:
        """Return the identity of the choice of Python modules."""
        return digest("reach", self.libraries_id, tree_identity(self.sources), self._starts)

    @property
    def project_id(self) -> str:
        """Return the identity of what the project's layer contains, besides its version."""
        own = self.recipe.identity_of("name", "keys", "debug", "parameters", "lockdown")
        return digest("project", self.modules_id, self.reach_id, self.project_version, own)

    @property
    def version(self) -> str:
        """Return the version of the release: the project's, and the identity of the build."""
        mark = DEBUG_SUFFIX if self.recipe.debug else ""
        return f"{self.project_version}+{self.identity[:12]}{mark}"

    @property
    def _starts(self) -> str:
        return self.recipe.identity_of("debug", "python", "package_files")

    def system_id(self, chosen: list[str]) -> str:
        """Return the identity of the layer with libraries, of whose modules some are `chosen`."""
        files = self.recipe.identity_of("package_files", "debug")
        return digest("system", self.libraries_id, files, *chosen)


def base_version() -> str:
    """Return the project's own version."""
    return importlib.metadata.version("zero-os")


def gather_inputs(
    recipe: Recipe, level: int, progress: Progress, *, refresh: bool = False
) -> Inputs:
    """Return the inputs of the release, fetching packages that are not in the cache."""
    packages = gather_packages(recipe, progress, refresh=refresh)
    packages_id = packages_identity(packages)
    base = digest(packages_id, recipe_identity(), str(level))
    return Inputs(
        recipe=recipe,
        packages=packages,
        sources=compose(recipe),
        level=level,
        packages_id=packages_id,
        modules_id=digest("modules", base, recipe.identity_of(*MODULE_FIELDS)),
        libraries_id=digest("libraries", base, wheel_lock(recipe)),
        project_version=base_version(),
    )


def gather_packages(recipe: Recipe, progress: Progress, *, refresh: bool = False) -> Path:
    """Return the archive of the profile's packages with their dependencies."""
    progress(f"{'fetching' if refresh else 'checking'} the Debian packages")
    try:
        return fetch_packages(
            (*plan.PACKAGES, *recipe.packages),
            components=",".join(recipe.components),
            refresh=refresh,
            progress=progress,
        )
    except CommandError as error:
        raise ImageError(error.message, hint=error.hint) from error


def wheel_lock(recipe: Recipe) -> str:
    """Return the lock file of the node's wheels and the profile's."""
    return LOCK.read_text() + "".join(f"{line}\n" for line in recipe.wheels)


def unpack_all_wheels(recipe: Recipe) -> Tree:
    """Return the files of all wheels."""
    wheels = fetch_wheels(wheel_lock(recipe))
    return unpack_wheels(wheels, plan.PROJECT, python.WHEELS_WITHOUT)


def added_modules(recipe: Recipe) -> list[str]:
    """Return the modules of the wheels that the profile adds; all of them are included."""
    names = {plain_name(line.partition("==")[0]) for line in recipe.wheels}
    if not names:
        return []
    wheels = [
        path
        for path in fetch_wheels(wheel_lock(recipe))
        if plain_name(path.name.partition("-")[0]) in names
    ]
    tree = unpack_wheels(wheels, plan.PROJECT, python.WHEELS_WITHOUT)
    found = (module_of(path, python.ROOTS) for path in tree)
    return [known[0] for known in found if known]


def plain_name(name: str) -> str:
    """Return the name of a Python package as indexes compare it."""
    return re.sub(r"[-_.]+", "_", name).lower()


def choose_python(
    inputs: Inputs, archive: PackageArchive, target: Target, progress: Progress
) -> list[str]:
    """Return the paths of the Python modules that a node reaches, from the cache if possible."""

    def libraries() -> bytes:
        progress("reading what the libraries import")
        tree = python_libraries(archive, unpack_all_wheels(inputs.recipe))
        return encode_modules(scan_modules(tree, target()))

    def chosen() -> bytes:
        progress("choosing the Python modules")
        modules = decode_modules(cached_layer("imports", inputs.libraries_id, libraries))
        notes = cache_dir("image") / f"imports-{recipe_identity()[:16]}.sealed"
        known = load_known(notes)
        modules |= scan_modules(inputs.sources, target(), known)
        store_known(notes, inputs.sources, known)
        starts = [*start_modules(inputs.recipe), *added_modules(inputs.recipe)]
        return "\n".join(choose_modules(modules, starts)).encode()

    return cached_layer("reach", inputs.reach_id, chosen).decode().splitlines()
