"""Programs for UEFI that hold their own load options: one file, with a slot.

iPXE takes what follows the first word of its load options for a script, and systemd-stub takes them
all for the kernel's command line. A section is added to the program that sets these options and
goes on where the program begins: the firmware need not be told anything, and the program knows the
device that it was loaded from, as without the section. A signature is no longer valid.

Formats: PE (Microsoft's specification), EFI_SYSTEM_TABLE, EFI_BOOT_SERVICES and
EFI_LOADED_IMAGE_PROTOCOL (UEFI specification 2.10, sections 4.3, 4.4 and 9.1).
"""

import struct
from collections.abc import Mapping

from bootstrap_server.errors import TemplateError

AMD64, ARM64 = 0x8664, 0xAA64
FIRST_WORD = "ipxe "  # of the load options; iPXE ignores it
SECTION_NAME = b".options"
READ_AND_RUN = 0x60000020

# What the section begins with. In the order of the instructions: keep the arguments (image handle,
# system table); HandleProtocol(handle, &LoadedImage, &image); if there is one, set its LoadOptions
# and LoadOptionsSize; restore the arguments; jump to this address less `distance`.
#
# x86-64: push rcx; push rdx; sub rsp,40; mov rax,[rdx+0x60]; lea rdx,[guid]; lea r8,[rsp+32];
# call [rax+0x98]; test rax,rax; jnz run; mov rax,[rsp+32]; lea rcx,[options]; mov [rax+0x38],rcx;
# mov ecx,[size]; mov [rax+0x30],ecx; run: add rsp,40; pop rdx; pop rcx; lea rax,[start];
# sub rax,[distance]; jmp rax
#
# arm64: stp x29,x30,[sp,#-48]!; stp x0,x1,[sp,#16]; ldr x9,[x1,#0x60]; ldr x9,[x9,#0x98];
# adr x1,guid; add x2,sp,#32; blr x9; cbnz x0,run; ldr x9,[sp,#32]; adr x10,options;
# str x10,[x9,#0x38]; ldr w10,size; str w10,[x9,#0x30]; run: ldp x0,x1,[sp,#16];
# ldp x29,x30,[sp],#48; adr x9,start; ldr x10,distance; sub x9,x9,x10; br x9; nop
CODE: Mapping[int, bytes] = {
    AMD64: bytes.fromhex(
        "51524883ec28488b4260488d154f0000004c8d442420ff90980000004885c07519488b442420488d0d430000"
        "00488948388b0d21000000894830"
        "4883c4285a59488d05b9ffffff482b0502000000ffe0"
    ),
    ARM64: bytes.fromhex(
        "fd7bbda9e00701a9293040f9294d40f981020010e283009120013fd6c00000b5e91340f96a0200102a1d00f9"
        "6a0100182a3100b9e00741a9fd7bc3a829feff108a00005829010acb20011fd61f2003d5"
    ),
}
CODE_BYTES = 80  # the code, then distance (8 bytes), size (4), 4 unused bytes, the protocol's GUID
LOADED_IMAGE = bytes.fromhex("a1311b5b6295d2118e3f00a0c969723b")

# Offsets in the COFF header, and in the optional header of a 64-bit program.
PE_OFFSET, SIGNATURE_BYTES, COFF_BYTES, SECTION_BYTES = 0x3C, 4, 20, 40
ENTRY, SECTION_ALIGNMENT, IMAGE_SIZE, CHECKSUM, SIGNATURES = 16, 32, 56, 64, 144


def add_script(program: bytes, slot: bytes) -> bytes:
    """Return an iPXE whose script is `slot`, encoded by `encode_options`."""
    return add_options(program, FIRST_WORD.encode("utf-16-le") + slot)


def add_options(program: bytes, options: bytes) -> bytes:
    """Return a program with these load options, in UTF-16."""
    try:
        pe = struct.unpack_from("<I", program, PE_OFFSET)[0] + SIGNATURE_BYTES
        machine, sections, optional_bytes = struct.unpack_from("<HH12xH", program, pe)
        optional = pe + COFF_BYTES
        entry = struct.unpack_from("<I", program, optional + ENTRY)[0]
        alignment, file_alignment = struct.unpack_from("<II", program, optional + SECTION_ALIGNMENT)
        address, header_bytes = struct.unpack_from("<II", program, optional + IMAGE_SIZE)
    except struct.error as error:
        raise TemplateError("this is no program for UEFI") from error
    header = optional + optional_bytes + sections * SECTION_BYTES
    if machine not in CODE or header + SECTION_BYTES > header_bytes:
        raise TemplateError("this program has no room for load options")
    content = make_section(CODE[machine], address - entry, options)
    padded = content.ljust(_align(len(content), file_alignment), b"\0")
    data = bytearray(program.ljust(_align(len(program), file_alignment), b"\0"))
    place = struct.pack("<IIII", len(content), address, len(padded), len(data))
    row = SECTION_NAME + place + bytes(12) + struct.pack("<I", READ_AND_RUN)
    data[header : header + SECTION_BYTES] = row
    struct.pack_into("<H", data, pe + 2, sections + 1)
    struct.pack_into("<I", data, optional + ENTRY, address)
    struct.pack_into("<I", data, optional + IMAGE_SIZE, address + _align(len(content), alignment))
    struct.pack_into("<I", data, optional + CHECKSUM, 0)
    struct.pack_into("<II", data, optional + SIGNATURES, 0, 0)
    return bytes(data) + padded


def make_section(code: bytes, distance: int, options: bytes) -> bytes:
    """Return the code, what it reads, and the load options."""
    numbers = struct.pack("<QII", distance, len(options), 0)
    return code.ljust(CODE_BYTES, b"\0") + numbers + LOADED_IMAGE + options + bytes(2)


def encode_options(slot: bytes) -> bytes:
    """Return a slot's text as load options have it: UTF-16."""
    return slot.decode("ascii").encode("utf-16-le")


def _align(size: int, step: int) -> int:
    return -(-size // step) * step
