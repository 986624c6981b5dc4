"""The lock file of a profile: Debian packages and wheels. It stands beside the profile.

[debian]        # common/debian/lock.py
[tools]         # the same, for the machine that builds: only if the release is not for its kind
[python]
requirements = ["urllib3>=2.3"]    # what was asked for; their dependencies were added
wheels = [
  {name = "urllib3", version = "2.6.2", filename = "urllib3-...whl", size = 1, sha256 = "..."},
]
"""

import importlib.metadata
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from common.debian.architecture import AMD64
from common.debian.lock import (
    DIGEST,
    DebianLock,
    LockError,
    check_table,
    load_sections,
    parse_lock,
    render_lock,
    render_rows,
    render_value,
)
from common.debian.resolve import SUITE
from image.recipe import plan
from image.recipe.load import built_in, find_profile, load_recipe
from image.recipe.recipe import Recipe

HEAD = "# Written by `zos image lock` and `zos image update`.\n\n"
SECTIONS = ("debian", "python")
TOOLS = "tools"
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
VERSION = re.compile(r"[0-9][A-Za-z0-9.+!]*")
FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+!-]*\.whl")
REQUIREMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._,;<>=!~()\[\]'+*-]*")
PYTHON_FORMS = {"requirements": [REQUIREMENT], "wheels": [dict]}
WHEEL_FORMS = {
    "name": NAME,
    "version": VERSION,
    "filename": FILENAME,
    "size": int,
    "sha256": DIGEST,
}


@dataclass(frozen=True, slots=True)
class LockedWheel:
    """The one file of a Python package that nodes get."""

    name: str
    version: str
    filename: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ReleaseLock:
    """All inputs of a release that come from elsewhere.

    `tools` are packages whose programs are run to build a release for another architecture than
    amd64; for that one they are those of `debian`.
    """

    debian: DebianLock
    requirements: tuple[str, ...]
    wheels: tuple[LockedWheel, ...]
    tools: DebianLock | None = None

    @property
    def parts(self) -> tuple[DebianLock, ...]:
        """Return the locks of packages."""
        return (self.debian, self.tools) if self.tools else (self.debian,)


@dataclass(frozen=True, slots=True)
class Request:
    """What a profile asks for, and the file in which its lock is."""

    profile: str
    lock: Path
    packages: tuple[str, ...]
    components: tuple[str, ...]
    architecture: str
    requirements: tuple[str, ...]

    @property
    def tools(self) -> tuple[str, ...]:
        """Return the packages that the build runs, if they are not those of the release."""
        return () if self.architecture == AMD64.name else plan.TOOLS


def find_request(profile: str | Path) -> Request:
    """Return what a profile asks for; its lock stands beside it. Raises `ImageError`."""
    return request_of(load_recipe(profile), lock_of(profile))


def request_of(recipe: Recipe, lock: Path) -> Request:
    """Return what a recipe asks for; its lock is in the file `lock`."""
    packages = {*recipe.kind.packages, *recipe.packages}
    if recipe.kind.has_kernel:
        packages.add(plan.KERNEL_PACKAGE.format(architecture=recipe.architecture))
    if recipe.microcode:
        packages |= set(plan.MICROCODE_PACKAGES)
    return Request(
        recipe.name,
        lock,
        tuple(sorted(packages)),
        tuple(sorted(set(recipe.components))),
        recipe.architecture,
        tuple(sorted({*project_requirements(recipe.kind.extras), *recipe.wheels})),
    )


def project_requirements(extras: Collection[str] = ()) -> tuple[str, ...]:
    """Return what the project itself needs on a node, with some of its extras."""
    found = []
    for line in importlib.metadata.requires("zero-os") or []:
        word, _, extra = line.replace('"', "'").partition("; extra == ")
        if (not extra or extra.strip("'") in extras) and not word.startswith(plan.FROM_DEBIAN):
            found.append(word)
    return tuple(found)


def load_lock(request: Request) -> ReleaseLock:
    """Return the lock of a profile: its own, or that of a built-in one that asks for the same.

    Raises `LockError`, also if the profile asks for other things than those that were locked.
    """
    if not request.lock.exists():
        for path in map(lock_of, built_in()):
            if path.exists() and is_of(lock := read_lock(path), request):
                return lock
        raise LockError(
            f"cannot build {request.profile}: there is no {request.lock}", hint=lock_hint(request)
        )
    lock = read_lock(request.lock)
    if not is_of(lock, request):
        raise LockError(
            f"cannot use {request.lock}: the profile asks for other things than are locked",
            hint=lock_hint(request),
        )
    return lock


def lock_of(profile: str | Path) -> Path:
    """Return the file with the lock of a profile, which stands beside it."""
    return find_profile(profile).with_suffix(".lock")


def lock_hint(request: Request) -> str:
    """Return what to do about a lock that does not fit."""
    profile = request.lock.with_suffix(".toml")
    name = request.profile if profile == find_profile(request.profile) else profile
    return f"zos image lock --profile {name}"


def is_of(lock: ReleaseLock, request: Request) -> bool:
    """Return whether a lock was made for a request."""
    debian = lock.debian
    locked = (debian.suite, debian.request, debian.components, debian.architecture)
    asked = (SUITE, request.packages, request.components, request.architecture)
    tools = lock.tools.request if lock.tools else ()
    return (
        locked == asked
        and lock.requirements == request.requirements
        and tools == request.tools
        and all(part.suite == SUITE for part in lock.parts)
    )


def read_lock(path: Path) -> ReleaseLock:
    """Return the lock in a file. Raises `LockError` with the place of what is wrong."""
    sections = load_sections(path, SECTIONS, [TOOLS])
    where = f"{path}, python"
    python = check_table(sections["python"], PYTHON_FORMS, where)
    wheels = [
        LockedWheel(**check_table(row, WHEEL_FORMS, f"{where}, wheel {at}"))
        for at, row in enumerate(python["wheels"], 1)
    ]
    if len({wheel.name for wheel in wheels}) != len(wheels):
        raise LockError(f"cannot use {where}: a package stands in it twice")
    debian = parse_lock(sections["debian"], f"{path}, debian")
    tools = parse_lock(sections[TOOLS], f"{path}, {TOOLS}") if TOOLS in sections else None
    if tools and tools.architecture != AMD64.name:
        raise LockError(f"cannot use {path}: its tools are for {tools.architecture}")
    return ReleaseLock(debian, tuple(python["requirements"]), tuple(wheels), tools)


def render(lock: ReleaseLock) -> str:
    """Return a lock as the text of its file."""
    lines = ["[python]", f"requirements = {render_value(lock.requirements)}"]
    lines += render_rows("wheels", lock.wheels)
    packages = [render_lock(lock.debian, "debian")]
    packages += [render_lock(lock.tools, TOOLS)] if lock.tools else []
    return HEAD + "\n".join([*packages, *lines]) + "\n"
