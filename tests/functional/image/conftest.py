"""One release with fast compression, made once from cached packages and wheels."""

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

from image.formats.cpio import Member
from image.model import Release
from image.parts.project import collect_sources
from image.parts.wheels import fetch_wheels
from image.recipe.load import load_recipe
from image.release.build import build_release
from image.release.identity import packages_identity, recipe_identity
from image.release.inputs import LOCK, gather_packages
from image.release.listing import read_initramfs
from tests.helpers.needs import need_tool

KEY = base64.b64encode(b"k" * 32).decode()
FAST = 1


@pytest.fixture(scope="session")
def caches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a cache with the user's packages and wheels, but nothing built from them."""
    need_tool("mmdebstrap")
    packages = gather_packages(load_recipe("virt"), print)
    wheels = fetch_wheels(LOCK.read_text())
    packages_identity(packages)
    root = tmp_path_factory.mktemp("cache")
    (root / "debian").symlink_to(packages.parent)
    (root / "wheels").symlink_to(wheels[0].parent.parent)
    # A source file may be edited while this runs; that must not change the release.
    sources, recipe = collect_sources(), recipe_identity()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOS_CACHE", str(root))
        patch.setattr("image.parts.project.collect_sources", lambda: sources)
        patch.setattr("image.release.inputs.recipe_identity", lambda: recipe)
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
