"""A node mounts through /dev/fuse itself: no library for FUSE goes into a release."""

from image.parts.project import LAUNCHER
from image.recipe import plan
from image.release.inputs import LOCK


def test_a_release_has_neither_libfuse_nor_mfusepy() -> None:
    names = [*plan.PACKAGES, *plan.SYSTEM_FILES, *plan.LOADED_LIBRARIES, *plan.SYMLINKS]
    names += [line.split("==")[0] for line in LOCK.read_text().splitlines()]
    assert "libgcc_s.so.1" in names and "pyroute2" in names
    assert [name for name in names if "fuse" in name.lower()] == []
    assert "FUSE" not in LAUNCHER
