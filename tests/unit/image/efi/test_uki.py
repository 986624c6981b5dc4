"""UKIs: their sections as pefile reads them, and those that can't be built."""

import pefile
import pytest

from common.efi.errors import EfiError, FormatError
from common.efi.pe import Image
from image.efi.uki import build_uki, extend_sbat, read_sections, replace_sections
from tests.helpers.efi import small_sections, small_uki
from tests.helpers.pe import SBAT, make_efi, make_kernel, make_stub

NX_COMPATIBLE = 0x0100


def test_another_reader_finds_every_section() -> None:
    wanted = small_sections()
    uki = pefile.PE(data=small_uki(), fast_load=True)
    assert uki.get_warnings() == []
    found = {
        row.Name.rstrip(b"\0").decode(): row.get_data()[: row.Misc_VirtualSize]
        for row in uki.sections
    }
    assert {name: found[name] for name in wanted} == wanted
    assert list(found)[:3] == [".text", ".sbat", ".sdmagic"]
    ends = 0
    for row in uki.sections:
        assert row.VirtualAddress % uki.OPTIONAL_HEADER.SectionAlignment == 0
        assert row.PointerToRawData % uki.OPTIONAL_HEADER.FileAlignment == 0
        assert row.VirtualAddress >= ends
        ends = row.VirtualAddress + row.Misc_VirtualSize
    assert ends <= uki.OPTIONAL_HEADER.SizeOfImage < ends + 0x1000
    (linux,) = (row for row in uki.sections if row.Name.startswith(b".linux"))
    assert linux.IMAGE_SCN_CNT_CODE
    assert linux.IMAGE_SCN_MEM_READ
    assert not linux.IMAGE_SCN_MEM_WRITE


def test_the_order_of_the_given_sections_does_not_matter() -> None:
    turned = dict(reversed(small_sections().items()))
    assert build_uki(make_stub(), turned) == small_uki()
    assert read_sections(small_uki()) == small_sections()


def test_a_kernel_that_needs_writable_code_turns_the_protection_off() -> None:
    for flags in (0, NX_COMPATIBLE):
        sections = {**small_sections(), ".linux": make_kernel(flags=flags)}
        uki = Image.parse(build_uki(make_stub(), sections))
        assert uki.is_nx_compatible == bool(flags)


def test_the_revocation_data_is_that_of_the_stub_and_ours() -> None:
    lines = extend_sbat(make_stub(), "1.2").decode().splitlines()
    assert lines[0] == SBAT.decode().strip()
    assert lines[1].startswith("zero-os,1,Zero-OS,zero-os,1.2,")


def test_a_section_is_replaced_as_if_it_had_been_built_so() -> None:
    wanted = {**small_sections(), ".cmdline": b"farmer_id=7"}
    assert replace_sections(small_uki(), {".cmdline": b"farmer_id=7"}) == build_uki(
        make_stub(), wanted
    )
    signed = {**wanted, ".pcrpkey": b"key", ".pcrsig": b"{}"}
    uki = build_uki(make_stub(), signed)
    assert read_sections(replace_sections(uki, {".pcrpkey": b""})) == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({".linux": b""}, r"section \.linux is empty"),
        ({".profile": b"x"}, r"no section \.profile"),
        ({".sbat": b"x" * 600}, r"\.sbat: no room"),
        ({".linux": b"MZ" * 999}, "not an EFI binary"),
    ],
)
def test_a_uki_that_can_not_be_built(change: dict[str, bytes], message: str) -> None:
    with pytest.raises(EfiError, match=message):
        build_uki(make_stub(), {**small_sections(), **change})


def test_a_kernel_for_another_processor_is_refused() -> None:
    kernel = bytearray(make_kernel())
    kernel[0x44:0x46] = b"\x64\xaa"  # arm64
    with pytest.raises(EfiError, match="another processor"):
        build_uki(make_stub(), {**small_sections(), ".linux": bytes(kernel)})


def test_another_program_is_no_stub() -> None:
    with pytest.raises(FormatError, match=r"not systemd's EFI stub"):
        build_uki(make_efi({".text": b"x"}), small_sections())
    with pytest.raises(FormatError, match="not a UKI"):
        read_sections(make_stub())


def test_headers_without_room_for_another_section_are_refused() -> None:
    names = {f".s{number}": b"x" for number in range(14)}
    full = make_efi({**names, ".sdmagic": b"#### LoaderInfo: systemd-stub 257 ####"})
    with pytest.raises(FormatError, match="no room in the headers"):
        build_uki(full, small_sections())
