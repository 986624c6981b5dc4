"""Audits core.tar: what it has that no flist of daemons may have, or that nothing accounts for."""

from pathlib import Path

from image.core.manifest import NAME, TAR
from image.files import read_file
from image.formats.cpio import Member
from image.formats.tar import read_tar
from image.lock.model import ReleaseLock
from image.parts.project import describe_os
from image.recipe.recipe import Recipe
from image.release.audit import Finding, audit_members, read_names
from image.release.inputs import Progress

MAX_BYTES = 1 << 30


def audit_folder(
    folder: Path, recipe: Recipe, lock: ReleaseLock, progress: Progress, mirror: Path | None = None
) -> list[Finding]:
    """Audit core.tar in `folder`, built from `recipe` and `lock`. Raises `ZosError`."""
    about = describe_os(recipe, *read_names(folder, NAME))
    return audit_members(read_core(folder), about, recipe, lock, progress, mirror)


def read_core(folder: Path) -> list[Member]:
    """Return the members of core.tar in `folder`. Raises `ZosError`."""
    return read_tar(read_file(folder / TAR, MAX_BYTES))
