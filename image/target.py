"""Runs programs of the target (depmod, Python 3.13) out of an unpacked tree on this machine.

They are ordinary programs for the same processor; with the target's own loader and libraries they
run on any Linux, whatever this machine's distribution has installed.
"""

import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.run import run
from image.errors import ImageError
from image.model import Directory, File, Symlink
from image.plan import LIBRARY_FOLDER, LOADER
from image.tree import Tree

DEADLINE_S = 600
PROCESSORS = ("x86_64", "AMD64")


def write_tree(tree: Tree, folder: Path) -> None:
    """Write the files, directories and links of `tree` into `folder`, without owners or devices."""
    for path, entry in tree.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Directory):
            place.mkdir(exist_ok=True)
        elif isinstance(entry, Symlink):
            place.symlink_to(_relative_target(path, entry.target))
        elif isinstance(entry, File):
            place.write_bytes(entry.content)
            place.chmod(entry.mode | 0o400)


def run_target(
    root: Path,
    program: str,
    args: Sequence[str | Path],
    *,
    name: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> bytes:
    """Run `program` (a path in `root`) and return its stdout; `name` is its argv[0]."""
    if platform.machine() not in PROCESSORS:
        raise ImageError(
            f"cannot build a release on {platform.machine()}: programs of the release are run",
            hint="build on an x86-64 machine",
        )
    call: list[str | Path] = [root / LOADER, "--library-path", root / LIBRARY_FOLDER]
    call += ["--argv0", name or root / program, root / program, *args]
    return run(call, timeout_s=DEADLINE_S, env=env, stdin=stdin)


def _relative_target(path: str, target: str) -> str:
    """Return `target` so that an absolute link leads to the same place below any folder."""
    if not target.startswith("/"):
        return target
    return os.path.relpath(target, f"/{path.rpartition('/')[0]}")
