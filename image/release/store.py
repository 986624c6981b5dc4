"""The release store, written: files go in by their content, releases by their manifests.

Only one process writes at a time (`hold_store`). A file is complete before its name exists, and a
release's files are there before its manifest, so a process that is killed leaves nothing that is
wrong, only files that nothing refers to; `collect_garbage` removes those.
"""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from common.files import open_atomic, open_regular, write_atomic
from common.locks import hold_lock, say
from common.releases.layout import Layout
from common.releases.manifest import MAX_BYTES, NAME, Manifest, ReleaseFile, parse_manifest
from image.errors import ImageError
from image.files import read_file

LOCK_DEADLINE_S = 60.0
CHUNK_BYTES = 1 << 20
Progress = Callable[[str], None]


@contextlib.contextmanager
def hold_store(
    layout: Layout, work: str, timeout_s: float = LOCK_DEADLINE_S, tell: Progress = say
) -> Iterator[None]:
    """Be the only process that writes to the store while the block runs."""
    try:
        for folder in ("sha256", "releases", "metadata"):
            (layout.top / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImageError(f"cannot write to {layout.top}: {error.strerror}") from error
    with hold_lock(layout.top / ".lock", work, timeout_s, tell):
        yield


def add_release(layout: Layout, folder: Path, progress: Progress) -> Manifest:
    """Copy the release in `folder` into the store, unless it is there, and return its manifest.

    Raises `ZosError` if a file is not the one that the manifest names, or if the store has another
    release of this version.
    """
    data = read_file(folder / NAME, MAX_BYTES)
    manifest = parse_manifest(data)
    place = layout.release(manifest.version)
    if place.exists() and place.read_bytes() != data:
        raise ImageError(
            f"cannot add {folder}: the store has another release {manifest.version}",
            hint="a version is given once; build the release anew",
        )
    for name, file in manifest.files.items():
        add_file(layout, folder / name, file, progress)
    put(layout, data)
    write_atomic(place, data)
    return manifest


def add_file(layout: Layout, path: Path, file: ReleaseFile, progress: Progress) -> None:
    """Copy one file into the store if it is the one that `file` describes."""
    if layout.holds(file.sha256, file.size):
        return
    place = layout.blob(file.sha256)
    progress(f"adding {path.name} ({file.size / 1e6:.1f} MB)")
    state = hashlib.sha256()
    try:
        with open_regular(path) as source, open_atomic(place) as target:
            while chunk := source.read(CHUNK_BYTES):
                state.update(chunk)
                target.write(chunk)
            if (target.tell(), state.hexdigest()) != (file.size, file.sha256):
                raise ImageError(f"cannot add {path}: it is not the file that its manifest names")
    except OSError as error:
        raise ImageError(f"cannot add {path}: {error.strerror}") from error


def put(layout: Layout, data: bytes) -> str:
    """Add a small file and return its SHA-256."""
    sha256 = hashlib.sha256(data).hexdigest()
    if not layout.holds(sha256, len(data)):
        write_atomic(layout.blob(sha256), data)
    return sha256


def read_release(layout: Layout, version: str) -> tuple[Manifest, bytes]:
    """Return a release of the store: its manifest, also as bytes."""
    try:
        data = read_file(layout.release(version), MAX_BYTES)
    except ImageError as error:
        raise ImageError(f"the store has no release {version}") from error
    return parse_manifest(data), data


def list_releases(layout: Layout) -> dict[str, Manifest]:
    """Return the releases of the store, by version."""
    return {version: read_release(layout, version)[0] for version in layout.versions()}


def collect_garbage(
    layout: Layout, releases: Collection[str], digests: Collection[str]
) -> tuple[int, int]:
    """Remove all releases but these and all files that neither they nor `digests` name.

    Returns the number and the size of the removed files. The caller holds the store, so a temporary
    file has lost its writer.
    """
    used = set(digests)
    removed = []
    for version in list_releases(layout):
        if version not in releases:
            removed.append(layout.release(version))
            continue
        manifest, data = read_release(layout, version)
        used.add(hashlib.sha256(data).hexdigest())
        used |= {file.sha256 for file in manifest.files.values()}
    for folder in ("sha256", "releases", "metadata"):
        removed += (layout.top / folder).glob(".*.tmp")
    blobs = (path for path in (layout.top / "sha256").iterdir() if path.name[0] != ".")
    removed += (path for path in blobs if path.name not in used)
    size = sum(path.stat().st_size for path in removed)
    for path in removed:  # manifests come first: a release never lacks files
        path.unlink(missing_ok=True)
    return len(removed), size


def demand_release(layout: Layout, version: str) -> None:
    """Raise `ZosError` unless all files of a release are whole."""
    manifest, _ = read_release(layout, version)
    for name, file in manifest.files.items():
        if not layout.holds(file.sha256, file.size):
            raise ImageError(f"the store has lost {name} of {version}, or it is damaged")
