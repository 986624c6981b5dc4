"""Reading and writing EFI binaries."""

from pathlib import Path

from common.files import open_regular, write_atomic
from image.errors import ImageError

EFI_MAX_BYTES = 1 << 30


def read_efi(path: Path) -> bytes:
    """Return the content of an EFI binary. Raises `ImageError`."""
    try:
        with open_regular(path) as stream:
            data = stream.read(EFI_MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > EFI_MAX_BYTES:
        raise ImageError(f"cannot read {path}: larger than an EFI binary")
    return data


def write_efi(path: Path, data: bytes) -> None:
    """Write an EFI binary, whole or not at all. Raises `ImageError`."""
    try:
        write_atomic(path, data)
    except OSError as error:
        raise ImageError(f"cannot write {path}: {error.strerror}") from error
