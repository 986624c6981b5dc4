"""The keys of Secure Boot are made once."""

import pytest

from common.efi.errors import EfiError
from image.efi.enroll import make_keys
from tests.helpers.efi import secure_boot_keys


def test_keys_are_private_and_never_overwritten() -> None:
    folder = secure_boot_keys()
    for name in ("PK", "KEK", "db"):
        assert (folder / f"{name}.key").stat().st_mode & 0o777 == 0o600
    with pytest.raises(EfiError, match=r"PK\.key exists"):
        make_keys(folder, "Another")
