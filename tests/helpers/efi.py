"""Secure Boot keys and small UKIs for tests."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from common.efi.keys import Signer
from common.efi.sources import open_signer
from image.efi.enroll import make_keys
from image.efi.uki import build_uki, extend_sbat
from tests.helpers.pe import make_kernel, make_stub

CMDLINE = b"console=ttyS0"


@functools.cache
def secure_boot_keys() -> Path:
    """Return a folder with PK, KEK and db, made once: an RSA key takes a while."""
    folder = Path(tempfile.mkdtemp(prefix="zos-test-keys-"))
    atexit.register(shutil.rmtree, folder)
    make_keys(folder, "Test")
    return folder


@functools.cache
def signer(name: str = "db") -> Signer:
    """Return the signer with the key `name`."""
    folder = secure_boot_keys()
    return open_signer(str(folder / f"{name}.key"), folder / f"{name}.crt")


def small_sections() -> dict[str, bytes]:
    """Return the sections of a small UKI, in no useful order."""
    return {
        ".linux": make_kernel(),
        ".cmdline": CMDLINE,
        ".initrd": b"initramfs" * 500,
        ".osrel": b"ID=zero-os\n",
        ".uname": b"6.12",
        ".sbat": extend_sbat(make_stub(), "1"),
    }


def small_uki() -> bytes:
    """Return a UKI that nothing can boot."""
    return build_uki(make_stub(), small_sections())
