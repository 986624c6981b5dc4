"""Trees of Debian packages, fetched and checked by apt, unpacked without running any of their code.

mmdebstrap's `extract` variant downloads packages (signatures checked against Debian's keyring) and
unpacks them; no maintainer script runs. The result is a tar archive, so owners, modes and device
numbers survive also where the caller is not root.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from common.locks import hold_lock
from common.paths import cache_dir
from common.run import CommandError, run

SUITE = "trixie"  # Debian 13
FETCH_DEADLINE_S = 900
LOCK_DEADLINE_S = FETCH_DEADLINE_S + 60


def fetch_packages(
    packages: Sequence[str], *, suite: str = SUITE, components: str = "main", refresh: bool = False
) -> Path:
    """Return a tar archive of `packages` with all they depend on, from the cache if it is there.

    The cache is keyed by what was asked for, not by what the archive held that day; `refresh`
    asks again. Raises `CommandError` when a package is unknown or the archive can't be reached,
    `ZosError` when another process that fetches the same does not come to an end.
    """
    wanted = sorted(set(packages))
    identity = hashlib.sha256(json.dumps([suite, components, wanted]).encode()).hexdigest()
    path = cache_dir("debian") / f"{suite}-{identity[:16]}.tar"
    before = stamp(path)
    if before and not refresh:
        return path
    with hold_lock(path.with_suffix(".lock"), "fetching Debian packages", LOCK_DEADLINE_S):
        if stamp(path) == before:  # else somebody has fetched it while we waited
            fetch_archive(fetch_command(wanted, components, is_root=os.geteuid() == 0), suite, path)
    return path


def stamp(path: Path) -> tuple[int, ...]:
    """Return what changes when the file at `path` is replaced; empty where there is none."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return ()
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns)


def fetch_archive(call: Sequence[str], suite: str, path: Path) -> None:
    """Run mmdebstrap and put its archive at `path`, whole. The caller holds the lock."""
    prefix = f".{path.stem}-"
    for left in path.parent.glob(f"{prefix}*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent) as folder:
        archive = Path(folder) / "tree.tar"
        try:
            run([*call, suite, str(archive)], timeout_s=FETCH_DEADLINE_S)
        except CommandError as error:
            # By hand it is to show what is wrong; this folder is gone by then.
            hint = (error.hint or "").replace(str(archive), "/dev/null")
            raise CommandError(f"cannot fetch packages: {error.message}", hint=hint) from error
        archive.replace(path)


def fetch_command(packages: Sequence[str], components: str, *, is_root: bool) -> list[str]:
    """Return the call of mmdebstrap, without its last words: the suite and the archive."""
    options = ["--variant=extract", "--format=tar", "--architectures=amd64"]
    options += [f"--components={components}", f"--include={','.join(packages)}"]
    if not is_root:
        # Nothing is run in the tree, so neither chroot nor a user namespace is needed.
        options.append("--mode=chrootless")
    # Documentation is half of many packages; the licences stay.
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc")]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    return ["mmdebstrap", *options]
