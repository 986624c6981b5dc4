"""EFI binaries that are damaged."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.efi.authenticode import image_digest, strip_signatures
from common.efi.errors import EfiError, FormatError
from common.efi.pe import Image
from image.efi.uki import replace_sections
from tests.helpers.efi import small_uki
from tests.helpers.pe import make_stub


@pytest.mark.parametrize("size", [0, 2, 0x3F, 0x50, 0x140, 0x1B0, 0x500])
def test_a_binary_that_is_cut_off_is_refused(size: int) -> None:
    with pytest.raises(FormatError, match="EFI binary"):
        Image.parse(make_stub()[:size])


@settings(max_examples=400)
@given(at=st.integers(0, 0x400), value=st.integers(0, 255))
def test_no_damage_leads_to_another_error(at: int, value: int) -> None:
    data = bytearray(small_uki())
    data[at] = value
    with contextlib.suppress(FormatError):
        image_digest(bytes(data))
        strip_signatures(bytes(data))
    with contextlib.suppress(EfiError):
        replace_sections(bytes(data), {".cmdline": b"other"})
