"""Checks a profile as far as it goes without building a release."""

from collections.abc import Callable
from dataclasses import dataclass

from common.debian.archive import open_archive
from image.lock.model import load_lock, lock_of, request_of
from image.parts.firmware import Lack, find_lacks
from image.parts.kernel import choose_modules, find_kernel
from image.parts.modules import below_kernel
from image.parts.services import check_services
from image.parts.system import take_files
from image.recipe.kind import RELEASE
from image.recipe.load import load_recipe
from image.release.inputs import gather_packages


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: the number of modules, and firmware that they name and would not get."""

    profile: str
    modules: int
    has_firmware: bool
    lacks: list[Lack]

    @property
    def unknown(self) -> list[Lack]:
        """Return the lacks that the profile does not list; none if it has no firmware at all."""
        return [lack for lack in self.lacks if not lack.is_known] if self.has_firmware else []


def check_profile(profile: str, progress: Callable[[str], None]) -> Report:
    """Check a profile. Raises `ImageError` for a mistake in it."""
    recipe = load_recipe(profile, kind=RELEASE)
    check_services(recipe)
    lock = load_lock(request_of(recipe, lock_of(profile)))
    _, packages = gather_packages(lock.debian, progress)
    with open_archive(packages) as archive:
        take_files(archive, recipe)
        progress("reading the kernel modules")
        chosen = choose_modules(archive, find_kernel(archive), recipe)
        named = {below_kernel(path): info.get("firmware", []) for path, info in chosen.items()}
        lacks = find_lacks(named, archive, recipe.firmware_absent)
    return Report(recipe.name, len(chosen), recipe.firmware, lacks)
