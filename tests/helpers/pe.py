"""Small EFI binaries: PE32+ headers and sections, with nothing that runs."""

import struct

HEADERS = 0x400
ALIGNMENT, FILE_ALIGNMENT = 0x1000, 0x200
START = 0x40
MAGIC = b"#### LoaderInfo: systemd-stub 257 ####"
SBAT = b"sbat,1,SBAT Version,sbat,1,https://example.org\n"


def make_efi(sections: dict[str, bytes], *, flags: int = 0x160) -> bytes:
    """Return an EFI binary of `sections`; `flags` are its DllCharacteristics."""
    optional = bytearray(240)
    struct.pack_into("<H", optional, 0, 0x20B)
    struct.pack_into("<I", optional, 16, ALIGNMENT)  # the entry point
    struct.pack_into("<II", optional, 32, ALIGNMENT, FILE_ALIGNMENT)
    struct.pack_into("<HHI", optional, 44, 257, 0, 1)  # versions of image and subsystem
    struct.pack_into("<IIIHH", optional, 56, 0, HEADERS, 0, 10, flags)
    struct.pack_into("<I", optional, 108, 16)
    rows, body, address = b"", b"", ALIGNMENT
    for name, content in sections.items():
        raw = content + bytes(-len(content) % FILE_ALIGNMENT)
        place = (len(content), address, len(raw), HEADERS + len(body))
        rows += struct.pack("<8sIIIIIIHHI", name.encode(), *place, 0, 0, 0, 0, 0x40000040)
        body += raw
        address += len(content) + -len(content) % ALIGNMENT
    struct.pack_into("<I", optional, 56, address)
    coff = struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, len(optional), 0x22E)
    dos = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", START)
    return (dos + b"PE\0\0" + coff + optional + rows).ljust(HEADERS, b"\0") + body


def make_stub() -> bytes:
    """Return what looks like systemd's EFI stub."""
    return make_efi({".text": b"\x90" * 99, ".sbat": SBAT, ".sdmagic": MAGIC})


def make_kernel(*, flags: int = 0x160) -> bytes:
    """Return what looks like a kernel."""
    return make_efi({".text": b"kernel" * 1000}, flags=flags)
