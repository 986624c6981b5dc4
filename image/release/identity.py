"""Digests of a release's inputs: the same inputs have the same identity on any machine."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import image
from common import debian
from image.model import File
from image.tree import Tree, matches

RECIPE = (Path(image.__file__).parent, Path(debian.__file__).parent)
# Commands, publishing and how locked files are found do not change what is built.
NOT_RECIPE = (
    *("cli.py", "channel/*", "commands/*", "lock/*"),
    *(f"release/{name}.py" for name in ("attest", "check", "flists", "listing", "sizes", "store")),
    *("download.py", "fetch.py", "lock.py", "pool.py", "resolve.py"),
)


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


def _parts(path: str, file: File) -> Iterable[str | bytes]:
    return (path, f"{file.mode:o} {file.uid} {file.gid}", hashlib.sha256(file.content).digest())
