"""An iPXE for BIOS that holds its own script: one file that any loader of Linux kernels starts.

The loader puts what follows the set-up sectors at 1 MiB, so the script at the file's end has a
known address. A few instructions before iPXE's own say that an initrd is there, unless the loader
has brought one. Format: Documentation/arch/x86/boot.rst of Linux.
"""

import struct

from bootstrap_server.errors import TemplateError

SECTOR_BYTES = 512
PARAGRAPH_BYTES = 16
LOAD_ADDRESS = 0x100000
# iPXE unpacks itself below its initrd, and needs about 1 MiB there beside the packed file.
DISTANCE_BYTES = 4 << 20
SETUP_SECTORS, SYSTEM_SIZE, JUMP, RAMDISK, RAMDISK_SIZE = 0x1F1, 0x1F4, 0x200, 0x218, 0x21C
HOOK = 0x40  # where our instructions are, in the first sector, which is empty there

# How iPXE begins: push ds; push OFFSET; retf. It goes on at OFFSET with the header's own segment.
_FIRST = struct.Struct("<BBHB")
_PUSH_DS, _PUSH, _RETF = 0x1E, 0x68, 0xCB
# cmp dword [RAMDISK_SIZE],0; jne +18; mov dword [RAMDISK],address; mov dword [RAMDISK_SIZE],size;
# jmp OFFSET
_COMPARE = b"\x66\x83\x3e" + struct.pack("<H", RAMDISK_SIZE) + b"\0\x75\x12"
_STORE = struct.Struct("<3sHI")
_JUMP = struct.Struct("<BH")


def add_script(program: bytes, slot: bytes) -> bytes:
    """Return an iPXE whose script is `slot`."""
    data = bytearray(program)
    setup = (data[SETUP_SECTORS] + 1) * SECTOR_BYTES
    entry = JUMP + 2 + data[JUMP + 1]
    one, two, offset, three = _FIRST.unpack_from(data, entry)
    hook = make_hook(offset, LOAD_ADDRESS + DISTANCE_BYTES, len(slot))
    is_known = (one, two, three) == (_PUSH_DS, _PUSH, _RETF)
    if not is_known or any(data[HOOK : HOOK + len(hook)]) or len(data) > DISTANCE_BYTES // 2:
        raise TemplateError("this iPXE has no room for a script, or begins in another way")
    data[HOOK : HOOK + len(hook)] = hook
    _FIRST.pack_into(data, entry, one, two, HOOK, three)
    data = data.ljust(setup + DISTANCE_BYTES, b"\0") + slot
    struct.pack_into("<I", data, SYSTEM_SIZE, -(-(len(data) - setup) // PARAGRAPH_BYTES))
    return bytes(data)


def make_hook(offset: int, address: int, size: int) -> bytes:
    """Return the instructions that tell iPXE of its initrd and go on at `offset`."""
    code = _COMPARE + _STORE.pack(b"\x66\xc7\x06", RAMDISK, address)
    code += _STORE.pack(b"\x66\xc7\x06", RAMDISK_SIZE, size)
    return code + _JUMP.pack(0xE9, (offset - HOOK - len(code) - _JUMP.size) & 0xFFFF)
