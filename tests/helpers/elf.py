"""Small ELF files, made by hand. Format: elf(5)."""

import struct


def make_elf(sections: dict[str, bytes], loaded: int = 0) -> bytes:
    """Return an ELF file with `sections`; its program header loads the first `loaded` bytes."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in [*sections, ".shstrtab"])
    contents = {**sections, ".shstrtab": names}
    header_bytes, program_bytes = 64, 56
    body, rows, at = b"", [b"\0" * 64], header_bytes + program_bytes
    for name, content in contents.items():
        name_at = names.index(b"\0" + name.encode() + b"\0") + 1
        rows.append(
            struct.pack("<IIQQQQIIQQ", name_at, 1, 0, 0, at + len(body), len(content), 0, 0, 1, 0)
        )
        body += content
    program = struct.pack("<IIQQQQQQ", 1, 4, 0, 0, 0, loaded, loaded, 4096)
    header = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header += struct.pack(
        "<HHIQQQIHHHHHH",
        3,
        62,
        1,
        0,
        64,
        at + len(body),
        0,
        64,
        56,
        1,
        64,
        len(rows),
        len(rows) - 1,
    )
    return header + program + body + b"".join(rows)
