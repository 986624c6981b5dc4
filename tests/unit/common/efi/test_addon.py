"""Add-ons of systemd's EFI stub: what the stub reads, what firmware checks, and their length."""

import pytest

from common.efi.addon import make_addon
from common.efi.authenticode import verify_image
from common.efi.errors import EfiError
from common.efi.pe import AMD64, Image, machine_of
from tests.helpers.efi import signer

ROOM = 2000


def test_an_add_on_holds_its_words_and_is_signed() -> None:
    addon = make_addon(b"farmer_id=42", ROOM, signer())
    verify_image(addon, signer().certificate)
    image = Image.parse(addon)
    assert [section.name for section in image.sections] == [
        ".text",
        ".sdmagic",
        ".sbat",
        ".cmdline",
    ]
    assert image.content(".cmdline") == b"farmer_id=42".ljust(ROOM)
    assert machine_of(addon) == AMD64
    assert machine_of(b"MZ") is machine_of(addon[1:]) is None


def test_an_add_on_has_one_length_and_no_more_words_than_it_holds() -> None:
    lengths = {len(make_addon(b"x" * size, ROOM, signer())) for size in (0, 1, 999, ROOM)}
    assert len(lengths) == 1
    with pytest.raises(EfiError, match="does not fit"):
        make_addon(b"x" * (ROOM + 1), ROOM, signer())
