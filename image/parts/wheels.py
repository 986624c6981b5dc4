"""The node's Python packages: wheels pinned by hash, fetched for the target's Python."""

import hashlib
import re
import shutil
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from common.locks import hold_lock
from common.paths import cache_dir
from common.run import CommandError, run
from common.scratch import scratch
from image.errors import ImageError
from image.model import File
from image.tree import Tree, matches

FETCH_DEADLINE_S = 600
LOCK_DEADLINE_S = FETCH_DEADLINE_S + 60
REQUIREMENT = re.compile(r"([A-Za-z0-9][\w.-]*)==")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
# The manylinux versions that wheels may require; Debian 13 has glibc 2.41.
GLIBC = (
    "1",
    "2010",
    "2014",
    "_2_17",
    "_2_24",
    "_2_26",
    "_2_27",
    "_2_28",
    "_2_31",
    "_2_34",
    "_2_39",
)


def fetch_wheels(text: str) -> list[Path]:
    """Return the wheels in the lock file `text` for CPython 3.13 on x86-64, from the cache if
    possible.

    pip refuses a file whose hash is not in the lock file. Cached files are held to the same hashes
    each time; if one has changed, all are fetched again.
    """
    identity = hashlib.sha256(text.encode() + repr(GLIBC).encode()).hexdigest()
    folder = cache_dir("wheels") / identity[:16]
    with hold_lock(folder.with_suffix(".lock"), "fetching wheels", LOCK_DEADLINE_S):
        wheels = sorted(folder.glob("*.whl"))
        if not are_locked(wheels, text):
            with scratch("wheels") as place:
                _download(text, place)
                shutil.rmtree(folder, ignore_errors=True)
                shutil.move(place / "new", folder)
            wheels = sorted(folder.glob("*.whl"))
    return wheels


def are_locked(wheels: Iterable[Path], lock: str) -> bool:
    """Return whether `wheels` are one file for each package of a lock file, with its hash."""
    locked = parse_lock(lock)
    found = [locked.get(hashlib.sha256(wheel.read_bytes()).hexdigest()) for wheel in wheels]
    return sorted(map(str, found)) == sorted(set(locked.values()))


def parse_lock(text: str) -> dict[str, str]:
    """Return the package of each SHA-256 in a lock file of pip's."""
    locked: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if match := REQUIREMENT.match(line):
            name = match[1]
        locked |= dict.fromkeys(HASH.findall(line), name)
    return locked


def _download(text: str, place: Path) -> None:
    """Fetch the wheels of a lock file into the new folder `place / "new"`."""
    lock = place / "wheels.lock"
    lock.write_text(text)
    call: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet"]
    call += ["--disable-pip-version-check", "--require-hashes", "--no-deps"]
    call += ["--only-binary=:all:", "--python-version", "3.13", "--implementation", "cp"]
    call += ["--abi", "cp313", "--abi", "abi3", "--abi", "none"]
    call += [word for version in GLIBC for word in ("--platform", f"manylinux{version}_x86_64")]
    try:
        run([*call, "-r", lock, "-d", place / "new"], timeout_s=FETCH_DEADLINE_S)
    except CommandError as error:
        raise ImageError(
            f"cannot fetch the wheels: {error.message}",
            hint="the first build needs PyPI or a mirror that pip is configured for",
        ) from error


def unpack_wheels(wheels: Iterable[Path], folder: str, without: Iterable[str]) -> Tree:
    """Return the files that `wheels` install below `folder`, except those `without` matches."""
    tree, unwanted = Tree(), list(without)
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist():
                if info.is_dir() or matches(info.filename, unwanted):
                    continue
                path = _installed_path(info.filename)
                if path is not None:
                    mode = 0o755 if path.endswith(".so") or ".so." in path else 0o644
                    tree.add(f"{folder}/{path}", File(archive.read(info), mode))
    return tree


def _installed_path(name: str) -> str | None:
    """Return a file's path below the packages' folder; None for scripts and data."""
    parts = PurePosixPath(name).parts
    if parts[0].endswith(".data"):
        return "/".join(parts[2:]) if parts[1] in ("purelib", "platlib") else None
    return "/".join(parts)
