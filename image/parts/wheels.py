"""The node's Python packages: what wheels install."""

import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from image.model import File
from image.tree import Tree, matches


def unpack_wheels(wheels: Iterable[Path], folder: str, without: Iterable[str]) -> Tree:
    """Return the files that `wheels` install below `folder`, except those `without` matches."""
    tree, unwanted = Tree(), list(without)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if info.is_dir() or matches(info.filename, unwanted):
                    continue
                path = installed_path(info.filename)
                if path is not None:
                    mode = 0o755 if path.endswith(".so") or ".so." in path else 0o644
                    tree.add(f"{folder}/{path}", File(archive.read(info), mode))
    return tree


def installed_path(name: str) -> str | None:
    """Return a file's path below the packages' folder; None for scripts and data."""
    parts = PurePosixPath(name).parts
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None
    return "/".join(parts)
