"""What goes into every release: no library for FUSE, and the loader of its architecture."""

from common.debian.architecture import AMD64, ARM64
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


def test_programs_find_the_loader_of_their_architecture() -> None:
    amd, arm = plan.symlinks(AMD64), plan.symlinks(ARM64)
    assert amd["usr/lib64/ld-linux-x86-64.so.2"] == "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    assert amd["lib64"] == "usr/lib64"
    target = "/usr/lib/aarch64-linux-gnu/ld-linux-aarch64.so.1"
    assert arm["usr/lib/ld-linux-aarch64.so.1"] == target
    assert "lib64" not in arm
    assert set(amd) - set(arm) == {"usr/lib64/ld-linux-x86-64.so.2", "lib64"}
    assert "usr/lib/aarch64-linux-gnu/ossl-modules/legacy.so" in plan.system_files(ARM64)


def test_the_uki_is_for_its_architecture() -> None:
    assert plan.stub(AMD64).endswith("/linuxx64.efi.stub")
    assert plan.stub(ARM64).endswith("/linuxaa64.efi.stub")
    assert "console=ttyS0,115200n8" in plan.parameters(AMD64)
    assert "console=ttyAMA0,115200n8" in plan.parameters(ARM64)
