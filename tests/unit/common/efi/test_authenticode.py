"""Signatures of EFI binaries: the same each time, and of every byte."""

import pytest

from common.efi.authenticode import image_digest, sign_image, strip_signatures, verify_image
from common.efi.errors import EfiError
from tests.helpers.efi import signer, small_uki


def test_a_signature_is_the_same_each_time_and_can_be_removed() -> None:
    signed = sign_image(small_uki(), signer())
    assert signed == sign_image(small_uki(), signer())
    verify_image(signed, signer().certificate)
    assert strip_signatures(signed) == small_uki()
    assert image_digest(signed) == image_digest(small_uki())
    with pytest.raises(EfiError, match="signed already"):
        sign_image(signed, signer())


def test_a_file_of_any_size_can_be_signed() -> None:
    signed = sign_image(small_uki() + b"odd", signer())
    assert len(signed) % 8 == 0
    verify_image(signed, signer().certificate)


def test_another_key_and_no_signature_are_refused() -> None:
    signed = sign_image(small_uki(), signer("KEK"))
    with pytest.raises(EfiError, match="altered, or another key"):
        verify_image(signed, signer().certificate)
    with pytest.raises(EfiError, match="not signed"):
        verify_image(small_uki(), signer().certificate)


def test_a_flipped_byte_anywhere_is_refused() -> None:
    """But in the checksum, which is of no use and not signed."""
    signed = sign_image(small_uki(), signer())
    checksum = range(0x40 + 24 + 64, 0x40 + 24 + 68)
    for at in (*range(0x400), *range(0x400, len(signed), 499), *range(-1600, 0)):
        place = at % len(signed)
        altered = bytearray(signed)
        altered[place] ^= 0x40
        if place in checksum:
            continue
        with pytest.raises(EfiError):
            verify_image(bytes(altered), signer().certificate)


def test_what_follows_the_signature_is_refused() -> None:
    signed = sign_image(small_uki(), signer())
    with pytest.raises(EfiError, match="not its end"):
        verify_image(signed + b"more", signer().certificate)
