"""One release with fast compression, made once from cached packages and wheels."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from common.paths import cache_dir
from image.formats.cpio import Member
from image.lock.model import ReleaseLock
from image.model import Release
from image.parts.project import collect_sources
from image.release.build import build_release
from image.release.identity import recipe_identity
from image.release.listing import read_initramfs
from tests.helpers.image import obtain_lock

KEY = base64.b64encode(b"k" * 32).decode()
FAST = 1


@pytest.fixture(scope="session")
def lock() -> ReleaseLock:
    """Return the lock of what is to be had: the committed one, unless mirrors have moved on."""
    return obtain_lock()


@pytest.fixture(scope="session")
def caches(lock: ReleaseLock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a cache with the user's packages and wheels, but nothing built from them."""
    root = tmp_path_factory.mktemp("cache")
    for name in ("debian", "pool"):
        (root / name).symlink_to(cache_dir(name))
    # A source file may be edited while this runs; that must not change the release.
    sources, recipe = collect_sources(), recipe_identity()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOS_CACHE", str(root))
        patch.setattr("image.parts.project.collect_sources", lambda: sources)
        patch.setattr("image.release.inputs.recipe_identity", lambda: recipe)
        patch.setattr("image.release.build.load_lock", lambda _: lock)
        yield root


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with one key."""
    path = tmp_path_factory.mktemp("keys") / "flist.pub"
    path.write_text(f"# test\n{KEY}\n")
    return path


@pytest.fixture(scope="session")
def release(caches: Path, keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Return a release with fast compression."""
    output = tmp_path_factory.mktemp("release")
    return build_release(output, flist_keys=keys, progress=print, level=FAST)


@pytest.fixture(scope="session")
def members(release: Release) -> dict[str, Member]:
    """Return the members of its initramfs, by path."""
    return {member.name: member for member in read_initramfs(release.folder)}
