"""A Linux kernel image of 1 KiB for BIOS machines: it says with what it was started, and stops.

It is the real-mode part of a bzImage (Documentation/arch/x86/boot.rst of the kernel), for which the
boot loader leaves the command line's address and the size of the initramfs in the header.
"""

import struct

from tests.helpers.vm.sector import HALT, NO_INTERRUPTS, say

SECTOR_BYTES = 512
ENTRY = 0x268  # behind the header
SYSTEM = bytes(range(256)) * 2  # where a kernel has what it unpacks
FIELDS = {  # of the header, by their offset
    0x1FE: b"\x55\xaa",
    0x200: bytes([0xEB, ENTRY - 0x202]),  # jmp
    0x202: b"HdrS\x0f\x02",  # version 2.15
    0x211: b"\x01",  # the system is loaded high
    0x214: struct.pack("<I", 0x100000),
    0x22C: struct.pack("<I", 0x7FFFFFFF),  # the highest address of an initramfs
    0x230: struct.pack("<I", 0x1000),
    0x238: struct.pack("<I", 2047),  # the longest command line
}
TO_SERIAL = bytes.fromhex("ba f803")  # mov dx, SERIAL
SAY_COMMAND_LINE = bytes.fromhex(
    "fc 66a12802"  # cld; mov eax, [cmd_line_ptr]
    "6631db 8cdb 66c1e304 6629d8 6689c6"  # mov si, offset of eax in segment ds
    "ac 84c0 7403 ee ebf8"  # lodsb; test al, al; jz; out dx, al; jmp
)
SAY_INITRAMFS_SIZE = bytes.fromhex(
    "668b0e1c02 bb0800"  # mov ecx, [ramdisk_size]; mov bx, 8
    "66c1c104 88c8 240f 0430 3c3a 7202 0427 ee 4b 75ec"  # each hexadecimal digit
)


def make_kernel(name: str = "kernel") -> bytes:
    """Return a kernel that says "NAME: initramfs of HEX bytes; COMMAND LINE" on the serial port."""
    words = [NO_INTERRUPTS, say(f"\r\n{name}: initramfs of "), TO_SERIAL, SAY_INITRAMFS_SIZE]
    words += [say(" bytes; "), TO_SERIAL, SAY_COMMAND_LINE, say("\r\n"), HALT]
    code = b"".join(words)
    sectors = -(-(ENTRY + len(code)) // SECTOR_BYTES)
    image = bytearray(sectors * SECTOR_BYTES)
    fields = {**FIELDS, 0x1F1: bytes([sectors - 1]), 0x1F4: struct.pack("<I", len(SYSTEM) // 16)}
    for offset, value in {**fields, ENTRY: code}.items():
        image[offset : offset + len(value)] = value
    return bytes(image) + SYSTEM
