"""Scripts in programs: what is changed in an executable, and that all else stays."""

import struct

import pytest

from bootstrap_server.errors import TemplateError
from bootstrap_server.images import efi, lkrn
from bootstrap_server.images.workshop import IPXE_ROOT, replace_root

SLOT = b"#!ipxe\n".ljust(512, b"\n")
PE = 0x80
OPTIONAL = PE + 24
SECTIONS = OPTIONAL + 240


def make_program(machine: int = efi.AMD64, sections: int = 1, header_bytes: int = 0x400) -> bytes:
    """Return a 64-bit program with one section of code."""
    data = bytearray(0x600)
    data[:2], data[PE : PE + 4] = b"MZ", b"PE\0\0"
    struct.pack_into("<I", data, 0x3C, PE)
    struct.pack_into("<HH12xHH", data, PE + 4, machine, sections, 240, 0x22)
    struct.pack_into("<H14xI", data, OPTIONAL, 0x20B, 0x1010)
    struct.pack_into("<II", data, OPTIONAL + 32, 0x1000, 0x200)
    struct.pack_into("<IIIHH", data, OPTIONAL + 56, 0x2000, header_bytes, 77, 10, 0)
    struct.pack_into("<II", data, OPTIONAL + 144, 0x5F0, 8)
    row = struct.pack("<8sIIII", b".text", 0x200, 0x1000, 0x200, 0x400)
    data[SECTIONS : SECTIONS + len(row)] = row
    return bytes(data)


@pytest.mark.parametrize("machine", [efi.AMD64, efi.ARM64])
def test_a_section_sets_the_load_options(machine: int) -> None:
    before = make_program(machine)
    after = efi.add_script(before, efi.encode_options(SLOT))
    assert struct.unpack_from("<H", after, PE + 6) == (2,)
    assert struct.unpack_from("<I", after, OPTIONAL + 16) == (0x2000,)  # it is what starts
    assert struct.unpack_from("<I", after, OPTIONAL + 56) == (0x3000,)
    assert struct.unpack_from("<I", after, OPTIONAL + 64) == (0,)
    assert struct.unpack_from("<II", after, OPTIONAL + 144) == (0, 0)  # no signature any more
    size, address, raw, place = struct.unpack_from("<IIII", after, SECTIONS + 48)
    assert (address, raw, place) == (0x2000, 0x600, len(before))
    assert len(after) == place + raw
    section = after[place : place + size]
    assert section.startswith(efi.CODE[machine])
    distance, length = struct.unpack_from("<QI", section, efi.CODE_BYTES)
    assert address - distance == 0x1010  # where the program began
    options = section[112 : 112 + length].decode("utf-16-le")
    assert options == "ipxe " + SLOT.decode()
    assert after[0x400:0x600] == before[0x400:0x600]


@pytest.mark.parametrize(
    "program",
    [make_program(machine=0x14C), make_program(header_bytes=SECTIONS + 60)],
    ids=["other processor", "no room"],
)
def test_a_program_that_cannot_take_options_is_refused(program: bytes) -> None:
    with pytest.raises(TemplateError, match="no room"):
        efi.add_script(program, efi.encode_options(SLOT))


def test_what_is_no_program_is_refused() -> None:
    for program in (b"", b"MZ" * 100, b"text " * 1000):
        with pytest.raises(TemplateError, match=r"no (room|program)"):
            efi.add_script(program, efi.encode_options(SLOT))


def make_kernel(first: bytes = b"\x1e\x68\x4d\x02\xcb") -> bytes:
    """Return a kernel file with two set-up sectors and a little payload."""
    data = bytearray(512 * 2 + 100)
    data[0x1F1] = 1
    data[0x200:0x202] = b"\xeb\x46"
    data[0x248 : 0x248 + len(first)] = first
    return bytes(data)


def test_a_kernel_file_has_its_script_where_the_code_says() -> None:
    before = make_kernel()
    after = lkrn.add_script(before, SLOT)
    assert after.endswith(SLOT)
    address = lkrn.LOAD_ADDRESS + len(after) - len(SLOT) - 2 * 512
    hook = after[0x40:0x5D]
    assert hook == (
        bytes.fromhex("66833e1c02007512" + "66c7061802")
        + struct.pack("<I", address)
        + bytes.fromhex("66c7061c02")
        + struct.pack("<I", len(SLOT))
        + bytes.fromhex("e9f001")
    )
    assert after[0x248:0x24D] == b"\x1e\x68\x40\x00\xcb"
    assert struct.unpack_from("<I", after, 0x1F4)[0] * 16 >= len(after) - 2 * 512
    changed = [at for at, byte in enumerate(before) if after[at] != byte]
    assert set(changed) <= {*range(0x40, 0x5D), *range(0x1F4, 0x1F8), 0x249, 0x24A, 0x24B}


@pytest.mark.parametrize("kernel", [make_kernel(b"\xfa"), b"\1" * 0x100 + make_kernel()[0x100:]])
def test_a_kernel_file_that_begins_in_another_way_is_refused(kernel: bytes) -> None:
    with pytest.raises(TemplateError, match="another way"):
        lkrn.add_script(kernel, SLOT)


def test_a_private_root_takes_the_place_of_ipxes_own() -> None:
    root = bytes(range(32))
    assert replace_root(b"a" + IPXE_ROOT + b"b", root) == b"a" + root + b"b"
    for program in (b"none", IPXE_ROOT * 2):
        with pytest.raises(TemplateError, match="in one place"):
            replace_root(program, root)
    with pytest.raises(TemplateError, match="in one place"):
        replace_root(IPXE_ROOT, b"short")
