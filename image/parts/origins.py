"""Which package or wheel a file of an image is from; what is from neither is the project's."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

from common.debian.archive import PackageArchive
from common.debian.lock import LockedPackage
from image.lock.model import LockedWheel
from image.parts.firmware import FOLDER as FIRMWARE
from image.parts.firmware import MICROCODE, MICROCODE_FOLDER
from image.parts.kernel import MODULES_FOLDER
from image.parts.packages import select_paths
from image.parts.wheels import installed_path
from image.recipe import plan, python

Origin = LockedPackage | LockedWheel


class Origins:
    """Finds where files are from; `wheels` are the places of locked wheels."""

    def __init__(self, archive: PackageArchive, wheels: Mapping[LockedWheel, Path]) -> None:
        self._archive = archive
        self._places = wheels
        self._wheels: dict[str, tuple[LockedWheel, str]] = {}
        for wheel, place in wheels.items():
            with zipfile.ZipFile(place) as files:
                for name in files.namelist():
                    if path := installed_path(name):
                        self._wheels[f"{plan.PROJECT}/{path}"] = (wheel, name)

    def find(self, path: str) -> Origin | None:
        """Return the origin of the file or link at `path`; None if the project made it."""
        source = source_path(path)
        if source in self._wheels:
            return self._wheels[source][0]
        found = self._source(source)
        return None if found is None else self._archive.owner(found)

    def read(self, path: str) -> bytes | str | None:
        """Return the content from which `path` was copied or made, or a link's target."""
        source = source_path(path)
        if source in self._wheels:
            wheel, name = self._wheels[source]
            with zipfile.ZipFile(self._places[wheel]) as files:
                return files.read(name)
        found = self._source(source)
        if found is None:
            return None
        member = self._archive.member(found)
        return member.linkname if member.issym() else self._archive.read(found)

    def _source(self, path: str) -> str | None:
        """Return the path in the packages from which `path` was copied or made."""
        if path in plan.SYMLINKS:  # packages have some of them, too
            return None
        for place in _places(path):
            if place in self._archive and not self._archive.member(place).isdir():
                return place
        if path == plan.CERTIFICATE_BUNDLE:
            return next(iter(select_paths(self._archive, [plan.CERTIFICATES])), None)
        folder, _, name = path.rpartition("/")
        if folder == MICROCODE_FOLDER and name in MICROCODE:
            found = select_paths(self._archive, [f"{FIRMWARE}/{MICROCODE[name]}"])
            return next(iter(found), None)
        if path.startswith(f"{MODULES_FOLDER}/"):  # depmod's indexes
            return f"boot/vmlinuz-{path.split('/')[3]}"
        return None


def source_path(path: str) -> str:
    """Return the path of the Python source of a compiled module; other paths as they are."""
    if not path.endswith(".pyc"):
        return path
    folder, _, name = path.rpartition("/")
    if folder.endswith("/__pycache__"):
        return f"{folder.removesuffix('/__pycache__')}/{name.partition('.')[0]}.py"
    return path.removesuffix("c")


def _places(path: str) -> list[str]:
    """Return where packages may have the file that is at `path` in an image."""
    places = [path]
    if path.startswith(f"{plan.PROJECT}/"):
        places.append(f"{python.DEBIAN_FOLDER}/{path.removeprefix(plan.PROJECT)[1:]}")
    if path.startswith(f"{FIRMWARE}/"):
        places.append(path.removesuffix(".xz"))
    return places
