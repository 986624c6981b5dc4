"""Command-line add-ons of systemd's EFI stub: signed words that a UKI gives its kernel. Pure.

The stub of `NAME.EFI` loads each `NAME.EFI.extra.d/*.addon.efi` as a program, so the firmware
checks its signature, and appends its section `.cmdline` to the kernel's command line. It never
starts an add-on: its code only says that there is nothing to start.
"""

import struct

from common.efi.authenticode import sign_image
from common.efi.errors import EfiError
from common.efi.keys import Signer
from common.efi.pe import AMD64, COFF_BYTES, INITIALIZED_DATA, PE32_PLUS, READ, SECTION, round_up

CODE = bytes.fromhex("48b80300000000000080c3")  # movabs rax, EFI_UNSUPPORTED; ret
MAGIC = b"#### LoaderInfo: zero-os-addon 1 ####"  # for tools that list add-ons
SBAT = (
    b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
    b"zero-os-addon,1,Zero-OS,zero-os-addon,1,-\n"
)
START, OPTIONAL_BYTES, HEADERS_BYTES = 0x40, 240, 0x400
ALIGNMENT, FILE_ALIGNMENT = 0x1000, 0x200
EXECUTABLE_CODE = 0x6000_0020
CHARACTERISTICS = 0x22E  # an executable without symbols, for large addresses
NX_AND_RELOCATABLE = 0x160
SUBSYSTEM_APPLICATION = 10


def make_addon(command_line: bytes, room: int, signer: Signer) -> bytes:
    """Return the signed add-on with a command line that is padded to `room` bytes.

    With the same room and signer its length is always the same.
    """
    if len(command_line) > room:
        raise EfiError(f"the command line of {len(command_line)} bytes does not fit {room}")
    sections = {
        ".text": CODE,
        ".sdmagic": MAGIC,
        ".sbat": SBAT,
        ".cmdline": command_line.ljust(room),
    }
    return sign_image(make_program(sections), signer)


def make_program(sections: dict[str, bytes]) -> bytes:
    """Return a program for x86-64 UEFI whose code, the first section, needs no relocation."""
    rows, body, address = b"", b"", ALIGNMENT
    for name, content in sections.items():
        padded = content.ljust(round_up(len(content), FILE_ALIGNMENT), b"\0")
        place = (len(content), address, len(padded), HEADERS_BYTES + len(body))
        flags = EXECUTABLE_CODE if name == ".text" else READ | INITIALIZED_DATA
        rows += SECTION.pack(name.encode(), *place, 0, 0, 0, 0, flags)
        body += padded
        address += round_up(len(content), ALIGNMENT)
    header = (b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", START)).ljust(START, b"\0")
    header += b"PE\0\0" + struct.pack(
        "<HHIIIHH", AMD64, len(sections), 0, 0, 0, OPTIONAL_BYTES, CHARACTERISTICS
    )
    assert len(header) == START + COFF_BYTES
    return (header + make_optional(address) + rows).ljust(HEADERS_BYTES, b"\0") + body


def make_optional(image_bytes: int) -> bytes:
    """Return the optional header of a program that takes this much memory."""
    optional = bytearray(OPTIONAL_BYTES)
    struct.pack_into("<H", optional, 0, PE32_PLUS)
    struct.pack_into("<II", optional, 16, ALIGNMENT, ALIGNMENT)  # entry point, base of the code
    struct.pack_into("<II", optional, 32, ALIGNMENT, FILE_ALIGNMENT)
    struct.pack_into("<HH", optional, 48, 1, 1)  # version of the subsystem
    struct.pack_into(
        "<IIIHH",
        optional,
        56,
        image_bytes,
        HEADERS_BYTES,
        0,
        SUBSYSTEM_APPLICATION,
        NX_AND_RELOCATABLE,
    )
    struct.pack_into("<I", optional, 108, 16)  # entries of the directory, all empty
    return bytes(optional)
