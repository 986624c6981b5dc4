"""Digests of a release's inputs: the same inputs have the same identity on any machine."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import image
from common.debian import archive
from common.debian.archive import PackageArchive, open_archive
from common.paths import cache_dir
from common.sealed import read_sealed, sealed_digest, write_sealed
from image.model import Directory, File, Symlink
from image.parts.packages import read_entry, select_paths
from image.tree import Tree, matches

# The packages' files that a build reads; others contain the time at which they were fetched.
PACKAGE_PATHS = ("boot/*", "usr/*")
RECIPE = (Path(image.__file__).parent, Path(archive.__file__).parent)
# The command line and its output do not change what is built.
NOT_RECIPE = ("cli.py", "commands/*", "release/attest.py", "release/listing.py")


def digest(*parts: str | bytes) -> str:
    """Return one digest of `parts` that depends on their boundaries."""
    state = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(len(data).to_bytes(8, "little"))
        state.update(data)
    return state.hexdigest()


def recipe_identity() -> str:
    """Return the digest of the code and the tables that build a release."""
    parts: list[str | bytes] = []
    for folder in RECIPE:
        for path in sorted(folder.rglob("*.py")):
            name = path.relative_to(folder).as_posix()
            if not matches(name, NOT_RECIPE):
                parts += [name, path.read_bytes()]
    return digest(*parts)


def tree_identity(tree: Tree) -> str:
    """Return the digest of all files of `tree` with their paths, modes and owners."""
    return digest(*(part for path, file in tree.files() for part in _parts(path, file)))


def packages_identity(path: Path) -> str:
    """Return the digest of the archive of packages at `path`.

    Computing it takes a second, so it is cached for as long as the archive has the same content.
    """
    content = sealed_digest(path)
    note = cache_dir("image") / f"{path.stem}.identity"
    if content and (known := read_sealed(note)):
        of, _, answer = known.decode().partition(" ")
        if of == content:
            return answer
    with open_archive(path) as packages:
        answer = digest(*_archive_parts(packages))
    write_sealed(note, f"{content} {answer}".encode())
    return answer


def _archive_parts(packages: PackageArchive) -> Iterable[str | bytes]:
    for path in select_paths(packages, PACKAGE_PATHS):
        entry = read_entry(packages, path)
        match entry:
            case File():
                yield from _parts(path, entry)
            case Symlink():
                yield from (path, entry.target)
            case Directory():
                pass


def _parts(path: str, file: File) -> Iterable[str | bytes]:
    return (path, f"{file.mode:o} {file.uid} {file.gid}", hashlib.sha256(file.content).digest())
