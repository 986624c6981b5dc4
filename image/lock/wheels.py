"""The node's wheels: found by pip for the node's Python, then fetched by their hashes."""

import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import image
from common.debian.architecture import ARCHITECTURES
from common.debian.pool import Wanted, cached_path, find_cached, find_files, keep_file
from common.run import CommandError, run
from common.scratch import scratch
from image.errors import ImageError
from image.lock.dependencies import (
    PYTHON,
    environment,
    needed_names,
    read_metadata,
)
from image.lock.model import LockedWheel, Request

FETCH_DEADLINE_S = 600
CONSTRAINTS = Path(image.__file__).parent.parent / "requirements.lock"
PINNED = re.compile(r"[A-Za-z0-9][\w.-]*==[^\\]*")
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
INDEX_HINT = "pip needs its index, or a mirror that it is configured for"


def resolve_wheels(request: Request) -> tuple[LockedWheel, ...]:
    """Return the wheels that the requirements lead to, sorted; they are then in the cache.

    Versions are those of requirements.lock, with which the project is tested. pip evaluates the
    markers of dependencies for the Python that runs it, so what a node does not need is left out.
    """
    with scratch("wheels") as folder:
        (folder / "constraints.txt").write_text("".join(constraints()))
        call = pip_download(request.architecture, folder / "new")
        call += ["-c", folder / "constraints.txt", "--", *request.requirements]
        run_pip(call, "find the wheels")
        found = {(wheel := lock_wheel(path)).name: wheel for path in (folder / "new").iterdir()}
        texts = {name: read_metadata(folder / "new" / w.filename) for name, w in found.items()}
        names = needed_names(request.requirements, texts, environment(request.architecture))
        for name in names:
            keep_file(folder / "new" / found[name].filename, wanted_wheel(found[name]))
    return tuple(found[name] for name in sorted(names))


def constraints() -> Iterator[str]:
    """Yield the versions that the developers' lock file has, one a line."""
    try:
        text = CONSTRAINTS.read_text()
    except OSError as error:
        raise ImageError(
            f"cannot read {CONSTRAINTS}: {error.strerror}", hint="lock from a checkout of Zero-OS"
        ) from error
    for line in text.splitlines():
        if match := PINNED.match(line):
            yield f"{match[0].strip()}\n"


def lock_wheel(path: Path) -> LockedWheel:
    """Return the facts of a wheel; its name and version are in its file's name."""
    name, version = path.name.split("-")[:2]
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    plain = re.sub(r"[-_.]+", "-", name).lower()
    return LockedWheel(plain, version, path.name, len(data), digest)


def fetch_wheels(
    wheels: Sequence[LockedWheel], architecture: str, mirror: Path | None = None
) -> list[Path]:
    """Return the places of locked wheels, from the cache, the folder `mirror` or pip's index.

    Each is held to its size and hash every time. Raises `ImageError` or `PoolError`.
    """
    files = [wanted_wheel(wheel) for wheel in wheels]
    missing = [wheel for wheel in wheels if find_cached(wanted_wheel(wheel)) is None]
    if mirror is None and missing:
        download_wheels(missing, architecture)
    places = find_files(files, mirror)
    return [places[file.sha256] for file in files]


def download_wheels(wheels: Sequence[LockedWheel], architecture: str) -> None:
    """Fetch wheels into the cache; pip refuses a file with another hash."""
    with scratch("wheels") as folder:
        lines = (
            f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n" for wheel in wheels
        )
        (folder / "locked.txt").write_text("".join(lines))
        call = pip_download(architecture, folder / "new")
        call += ["--require-hashes", "--no-deps", "-r", folder / "locked.txt"]
        run_pip(call, "fetch the locked wheels")
        for path in (folder / "new").iterdir():
            found = lock_wheel(path)
            wheel = next((wheel for wheel in wheels if wheel.name == found.name), found)
            keep_file(path, wanted_wheel(wheel))
    for wheel in wheels:
        if not cached_path(wanted_wheel(wheel)).exists():
            raise ImageError(f"cannot fetch {wheel.filename}: pip has not found it")


def wanted_wheel(wheel: LockedWheel) -> Wanted:
    """Return a wheel as a file of the cache and of a mirror's folder."""
    label = f"{wheel.name} {wheel.version}"
    return Wanted(label, f"wheels/{wheel.filename}", wheel.size, wheel.sha256)


def pip_download(architecture: str, folder: Path) -> list[str | Path]:
    """Return pip's command line for wheels that the node's Python and processor can use."""
    call: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet"]
    call += ["--disable-pip-version-check", "--only-binary=:all:"]
    call += ["--python-version", PYTHON, "--implementation", "cp"]
    call += ["--abi", "cp313", "--abi", "abi3", "--abi", "none"]
    machine = ARCHITECTURES[architecture].machine
    call += [word for glibc in GLIBC for word in ("--platform", f"manylinux{glibc}_{machine}")]
    return [*call, "-d", folder]


def run_pip(call: Sequence[str | Path], what: str) -> None:
    """Run pip. Raises `ImageError`."""
    try:
        run(call, timeout_s=FETCH_DEADLINE_S)
    except CommandError as error:
        raise ImageError(f"cannot {what}: {error.message}", hint=INDEX_HINT) from error
