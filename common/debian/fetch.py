"""Fetches Debian packages as one tar archive, without running any code of theirs.

mmdebstrap's `extract` variant downloads packages (signatures checked against Debian's keyring) and
unpacks them; no maintainer script runs. The result is a tar archive, which keeps owners, modes and
device numbers even if the caller is not root.
"""

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from common.locks import hold_lock
from common.paths import cache_dir
from common.run import CommandError, run
from common.sealed import is_intact, seal_file

SUITE = "trixie"  # Debian 13
FETCH_DEADLINE_S = 900
LOCK_DEADLINE_S = FETCH_DEADLINE_S + 60
# Lines of mmdebstrap --verbose, and of the apt that it runs.
STEPS = {
    "I: running apt-get update...": "fetching Debian's package lists",
    "I: extracting archives...": "unpacking the packages",
    "I: creating tarball...": "writing the archive of packages",
}
NEW_PACKAGES = re.compile(r"\d+ upgraded, (\d+) newly installed")
GOT_PACKAGE = re.compile(r"Get:\d+ \S+ \S+ \S+ (\S+) \S+ \S+ \[(.+)\]")


def fetch_packages(
    packages: Sequence[str],
    *,
    suite: str = SUITE,
    components: str = "main",
    refresh: bool = False,
    progress: Callable[[str], None] | None = None,
) -> Path:
    """Return a tar archive of `packages` and their dependencies, from the cache if it is there.

    The cache key is the request, not the versions that were found; `refresh` fetches the newest
    versions. A cached archive that does not match its seal is fetched again. `progress` is called
    with a short description of each step, from another thread. Raises `CommandError` if a package
    is unknown or the mirror can't be reached, and `ZosError` if another process that fetches the
    same packages does not finish in time.
    """
    wanted = sorted(set(packages))
    identity = hashlib.sha256(json.dumps([suite, components, wanted]).encode()).hexdigest()
    path = cache_dir("debian") / f"{suite}-{identity[:16]}.tar"
    before = stamp(path)
    if not refresh and is_intact(path):
        return path
    with hold_lock(path.with_suffix(".lock"), "fetching Debian packages", LOCK_DEADLINE_S):
        if stamp(path) == before:  # else another process fetched it while this one waited
            call = fetch_command(wanted, components, is_root=os.geteuid() == 0)
            fetch_archive(call, suite, path, FetchProgress(progress).read if progress else None)
    return path


def stamp(path: Path) -> tuple[int, ...]:
    """Return a value that changes when `path` is replaced; empty if there is no file."""
    try:
        facts = path.stat()
    except FileNotFoundError:
        return ()
    return (facts.st_ino, facts.st_size, facts.st_mtime_ns)


class FetchProgress:
    """Turns what mmdebstrap and apt print into short descriptions."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._total = 0
        self._got = 0

    def read(self, line: str) -> None:
        """Report a line if it tells of progress."""
        if line in STEPS:
            self._progress(STEPS[line])
        elif match := NEW_PACKAGES.match(line):
            self._total, self._got = int(match[1]), 0
        elif self._total and (match := GOT_PACKAGE.match(line)):
            self._got += 1
            self._progress(
                f"fetching package {self._got} of {self._total}: {match[1]} ({match[2]})"
            )


def fetch_archive(
    call: Sequence[str], suite: str, path: Path, on_line: Callable[[str], None] | None
) -> None:
    """Run mmdebstrap and rename its archive to `path`. The caller holds the lock."""
    prefix = f".{path.stem}-"
    for left in path.parent.glob(f"{prefix}*"):  # left by a process that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix, dir=path.parent) as folder:
        archive = Path(folder) / "tree.tar"
        try:
            run([*call, suite, str(archive)], timeout_s=FETCH_DEADLINE_S, on_line=on_line)
        except CommandError as error:
            # A user who pastes the command wants its errors; this folder is gone by then.
            hint = (error.hint or "").replace(str(archive), "/dev/null")
            raise CommandError(f"cannot fetch packages: {error.message}", hint=hint) from error
        seal_file(archive, path)
        archive.replace(path)


def fetch_command(packages: Sequence[str], components: str, *, is_root: bool) -> list[str]:
    """Return the mmdebstrap command line without its last arguments, suite and archive."""
    options = ["--variant=extract", "--format=tar", "--architectures=amd64", "--verbose"]
    options += [f"--components={components}", f"--include={','.join(packages)}"]
    if not is_root:
        # Nothing runs in the tree, so neither chroot nor a user namespace is needed.
        options.append("--mode=chrootless")
    # Documentation is half of many packages; licences are kept.
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "doc")]
    options += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    return ["mmdebstrap", *options]
