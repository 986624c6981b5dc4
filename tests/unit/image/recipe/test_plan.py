"""A node mounts through /dev/fuse itself: no library for FUSE goes into a release."""

from image.lock.model import find_request, load_lock
from image.parts.project import LAUNCHER
from image.recipe import plan


def test_a_release_has_neither_libfuse_nor_mfusepy() -> None:
    names = [*plan.PACKAGES, *plan.SYSTEM_FILES, *plan.LOADED_LIBRARIES, *plan.SYMLINKS]
    lock = load_lock(find_request("virt"))
    names += [wheel.name for wheel in lock.wheels]
    names += [package.name for package in lock.debian.packages]
    assert "libgcc_s.so.1" in names and "pyroute2" in names
    assert [name for name in names if "fuse" in name.lower()] == []
    assert "FUSE" not in LAUNCHER
