"""One release with fast compression, made once from cached packages and wheels."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.paths import cache_dir
from image.core.build import build_core
from image.core.manifest import Core
from image.formats.cpio import Member
from image.formats.tar import read_tar
from image.lock.model import ReleaseLock
from image.model import Release
from image.parts.project import collect_sources
from image.recipe.kind import KINDS
from image.release.build import build_release
from image.release.identity import recipe_identity
from image.release.listing import read_initramfs
from tests.helpers.image import frozen_function, obtain_lock

KEY = base64.b64encode(b"k" * 32).decode()
FAST = 1
Frozen = dict[str, Any]


@pytest.fixture(scope="session")
def lock() -> ReleaseLock:
    """Return the lock of what is to be had: the committed one, unless mirrors have moved on."""
    return obtain_lock()


@pytest.fixture(scope="session")
def core_lock() -> ReleaseLock:
    """Return the lock of zos-core."""
    return obtain_lock("core")


@pytest.fixture(scope="session")
def frozen(lock: ReleaseLock, core_lock: ReleaseLock) -> Frozen:
    """Return what the build's functions return from now on.

    A source file may be edited while this runs; that must not change the release.
    """
    return {
        "image.parts.project.collect_sources": {
            name: collect_sources(kind) for name, kind in KINDS.items()
        },
        "image.release.inputs.recipe_identity": recipe_identity(),
        "image.release.build.load_lock": lock,
        "image.core.build.load_lock": core_lock,
    }


@pytest.fixture(scope="session")
def caches(frozen: Frozen, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a cache with the user's packages and wheels, but nothing built from them."""
    root = tmp_path_factory.mktemp("cache")
    for name in ("debian", "pool"):
        (root / name).symlink_to(cache_dir(name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOS_CACHE", str(root))
        for place, value in frozen.items():
            patch.setattr(place, frozen_function(value))
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
def core(caches: Path, tmp_path_factory: pytest.TempPathFactory) -> Core:
    """Return zos-core."""
    return build_core(tmp_path_factory.mktemp("core"), progress=print)


@pytest.fixture(scope="session")
def core_members(core: Core) -> dict[str, Member]:
    """Return the members of its archive, by path."""
    return {member.name: member for member in read_tar(core.tar.read_bytes())}


@pytest.fixture(scope="session")
def members(release: Release) -> dict[str, Member]:
    """Return the members of its initramfs, by path."""
    return {member.name: member for member in read_initramfs(release.folder)}
