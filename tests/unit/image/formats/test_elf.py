"""ELF files: sections, needed libraries, stripping, and invalid files."""

import struct

import pytest

from image.errors import FormatError
from image.formats.elf import read_needed, read_sections, strip_unloaded
from tests.helpers.elf import make_elf


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"\x7fELF\x02\x01" + b"\xff" * 100, b"x" * 200])
def test_an_invalid_elf_file_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        read_sections(data)


def test_needed_libraries() -> None:
    dynamic = struct.pack("<QQQQQQQQ", 1, 1, 14, 5, 1, 11, 0, 0) + struct.pack("<QQ", 1, 1)
    strings = b"\0libc.so.6\0libm.so.6\0"
    assert read_needed(make_elf({".dynamic": dynamic, ".dynstr": strings})) == [
        "libc.so.6",
        "libm.so.6",
    ]
    assert read_needed(make_elf({})) == []


def test_data_that_is_not_loaded_is_stripped() -> None:
    whole = make_elf({".text": b"code" * 8, ".debug_info": b"d" * 5000}, loaded=152)
    cut = strip_unloaded(whole)
    assert len(cut) == 152
    assert cut[64:] == whole[64:152]
    assert read_sections(cut) == {}
    assert strip_unloaded(cut) == cut
    with pytest.raises(FormatError):
        strip_unloaded(b"\x7fELF\x02\x01")
