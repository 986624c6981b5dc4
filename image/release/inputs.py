"""The inputs of a release, and the identities of its parts.

Packages and wheels are fetched here and nowhere else. What takes long and depends only on inputs is
cached: the compressed layers, and what the Python modules of packages and wheels import.
"""

import importlib.metadata
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.debian.archive import PackageArchive
from common.debian.fetch import fetch_locked, fetch_or_resolve
from common.debian.lock import DebianLock
from common.paths import cache_dir
from image.lock.model import LockedWheel, ReleaseLock
from image.lock.wheels import fetch_wheels
from image.parts.choice import (
    choose_modules,
    decode_modules,
    encode_modules,
    load_known,
    scan_modules,
    store_known,
)
from image.parts.layers import cached_layer
from image.parts.project import compose, describe_os, start_modules
from image.parts.reach import module_of
from image.parts.system import python_libraries
from image.parts.wheels import unpack_wheels
from image.recipe import plan, python
from image.recipe.recipe import Recipe
from image.release.identity import digest, recipe_identity, tree_identity
from image.tree import Tree

MODULE_FIELDS = ("architecture", "modules", "firmware", "microcode")
DEBUG_SUFFIX = ".debug"
Progress = Callable[[str], None]
# Returns the folder with the programs that a build runs; they are unpacked at the first call.
Tools = Callable[[], Path]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a release, and the identities of its layers.

    `debian` is the profile's lock if the release `is_locked`; `packages` is the archive of it, and
    `tools` that of the packages whose programs a build runs.
    """

    recipe: Recipe
    debian: DebianLock
    is_locked: bool
    packages: Path
    tools: Path
    wheels: tuple[LockedWheel, ...]
    mirror: Path | None
    sources: Tree
    level: int
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
        names = ("name", "keys", "root", "debug", "parameters", "lockdown", "kexec")
        own = self.recipe.identity_of(*names)
        return digest("project", self.modules_id, self.reach_id, self.project_version, own)

    @property
    def version(self) -> str:
        """Return the version of the release: the project's, and the identity of the build."""
        mark = DEBUG_SUFFIX if self.recipe.debug else ""
        return f"{self.project_version}+{self.identity[:12]}{mark}"

    @property
    def about(self) -> str:
        """Return the content of os-release."""
        return describe_os(self.recipe, self.version, self.identity)

    @property
    def _starts(self) -> str:
        return self.recipe.identity_of("debug", "python", "package_files", "wheels")

    def system_id(self, chosen: list[str]) -> str:
        """Return the identity of the layer with libraries, of whose modules some are `chosen`."""
        files = self.recipe.identity_of("package_files", "debug")
        return digest("system", self.libraries_id, files, *chosen)


def base_version() -> str:
    """Return the project's own version."""
    return importlib.metadata.version("zero-os")


def gather_inputs(
    recipe: Recipe,
    lock: ReleaseLock,
    level: int,
    progress: Progress,
    *,
    mirror: Path | None = None,
    allow_unlocked: bool = False,
) -> Inputs:
    """Return the inputs of the release, fetching locked packages that are not in the cache."""
    used = [
        gather_packages(part, progress, mirror, allow_unlocked=allow_unlocked)
        for part in lock.parts
    ]
    about = (recipe_identity(), recipe.product, str(level))
    base = digest(*(part.identity for part, _ in used), *about)
    return Inputs(
        recipe=recipe,
        debian=used[0][0],
        is_locked=tuple(part for part, _ in used) == lock.parts,
        packages=used[0][1],
        tools=used[-1][1],
        wheels=lock.wheels,
        mirror=mirror,
        sources=compose(recipe),
        level=level,
        modules_id=digest("modules", base, recipe.identity_of(*MODULE_FIELDS)),
        libraries_id=digest("libraries", base, *(wheel.sha256 for wheel in lock.wheels)),
        project_version=base_version(),
    )


def gather_packages(
    lock: DebianLock,
    progress: Progress,
    mirror: Path | None = None,
    *,
    allow_unlocked: bool = False,
) -> tuple[DebianLock, Path]:
    """Return the lock whose packages are used, and their archive."""
    progress("checking the locked Debian packages")
    if allow_unlocked:
        return fetch_or_resolve(lock, warn=progress, progress=progress)
    return lock, fetch_locked(lock, mirror=mirror, progress=progress)


def unpack_all_wheels(inputs: Inputs) -> Tree:
    """Return the files of all wheels."""
    return _unpack(inputs, inputs.wheels)


def added_modules(inputs: Inputs) -> list[str]:
    """Return the modules of the wheels that the profile adds; all of them are included."""
    names = {plain_name(re.split(r"[=\[]", line)[0]) for line in inputs.recipe.wheels}
    wheels = [wheel for wheel in inputs.wheels if plain_name(wheel.name) in names]
    found = (module_of(path, python.ROOTS) for path in _unpack(inputs, wheels))
    return [known[0] for known in found if known]


def wheel_places(inputs: Inputs) -> dict[LockedWheel, Path]:
    """Return where each wheel is, checked by its hash."""
    places = fetch_wheels(inputs.wheels, inputs.recipe.architecture, inputs.mirror)
    return dict(zip(inputs.wheels, places, strict=True))


def _unpack(inputs: Inputs, wheels: Sequence[LockedWheel]) -> Tree:
    paths = fetch_wheels(wheels, inputs.recipe.architecture, inputs.mirror)
    return unpack_wheels(paths, plan.PROJECT, python.WHEELS_WITHOUT)


def plain_name(name: str) -> str:
    """Return the name of a Python package as indexes compare it."""
    return re.sub(r"[-_.]+", "_", name).lower()


def choose_python(
    inputs: Inputs, archive: PackageArchive, tools: Tools, progress: Progress
) -> list[str]:
    """Return the paths of the Python modules that a node reaches, from the cache if possible."""

    def libraries() -> bytes:
        progress("reading what the libraries import")
        tree = python_libraries(archive, unpack_all_wheels(inputs))
        return encode_modules(scan_modules(tree, tools()))

    def chosen() -> bytes:
        progress("choosing the Python modules")
        modules = decode_modules(cached_layer("imports", inputs.libraries_id, libraries))
        notes = cache_dir("image") / f"imports-{recipe_identity()[:16]}.sealed"
        known = load_known(notes)
        modules |= scan_modules(inputs.sources, tools(), known)
        store_known(notes, inputs.sources, known)
        starts = [*start_modules(inputs.recipe), *added_modules(inputs)]
        return "\n".join(choose_modules(modules, starts, inputs.recipe.kind)).encode()

    return cached_layer("reach", inputs.reach_id, chosen).decode().splitlines()
