"""Where two contents differ."""

import lzma
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image.compare.content import (
    DIFF_LINES_MAX,
    compare_content,
    compare_text,
    explain,
    first_difference,
)


@given(st.binary(max_size=50), st.binary(max_size=50), st.binary(max_size=50))
def test_the_first_byte_that_differs(start: bytes, old: bytes, new: bytes) -> None:
    at = first_difference(start + old, start + new)
    a, b = start + old, start + new
    assert a[:at] == b[:at]
    assert at == min(len(a), len(b)) or a[at] != b[at]


def test_lines_of_text() -> None:
    assert explain("etc/x", b"a\nb\nc\n", b"a\nB\nc\n") == [
        *("@@ -1,3 +1,3 @@", " a", "-b", "+B", " c"),
    ]


def test_long_diffs_are_cut() -> None:
    old, new = ("\n".join(f"{side} {n}" for n in range(99)).encode() for side in "ab")
    lines = compare_text(old, new)
    assert len(lines) == DIFF_LINES_MAX + 1
    assert lines[-1] == f"... and {1 + 2 * 99 - DIFF_LINES_MAX} more lines"


def test_control_characters_do_not_reach_a_terminal() -> None:
    lines = explain("x", b"a\n", b"\x1b[2Ja\x9b\n")
    assert all(line.isprintable() for line in lines)
    lines = explain("x", b"a\n", "\x9b\u202e\n".encode())
    assert all(line.isprintable() for line in lines)


def test_bytes() -> None:
    change = compare_content("x.bin", b"abc\0d", b"abc\0")
    assert (change.old, change.new) == ("5 bytes", "4 bytes")
    assert change.lines == ("from byte 4: 64 -> the end",)


def make_elf(sections: dict[str, bytes]) -> bytes:
    """Return an ELF file with these sections."""
    names = b"\0" + b"".join(name.encode() + b"\0" for name in sections) + b".shstrtab\0"
    contents = [*sections.values(), names]
    body, rows = b"", [bytes(64)]
    for name, content in zip([*sections, ".shstrtab"], contents, strict=True):
        at = names.index(b"\0" + name.encode() + b"\0") + 1
        rows.append(
            struct.pack("<IIQQQQIIQQ", at, 1, 0, 0, 64 + len(body), len(content), 0, 0, 1, 0)
        )
        body += content
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<Q", head, 0x28, 64 + len(body))
    struct.pack_into("<HHH", head, 0x3A, 64, len(rows), len(rows) - 1)
    return bytes(head) + body + b"".join(rows)


def test_sections_of_programs() -> None:
    old = make_elf({".text": b"abc", ".data": b"same", ".note": b""})
    new = make_elf({".text": b"abd", ".data": b"same", ".extra": b"!"})
    lines = explain("usr/bin/x", old, new)
    assert lines[:2] == ["section .extra added", "section .note removed"]
    assert lines[-1] == "section .text, 3 -> 3 bytes, from byte 2: 63 -> 64"
    assert not [line for line in lines if ".data" in line]


def test_modules_are_unpacked() -> None:
    old, new = (make_elf({".modinfo": text}) for text in (b"v=1", b"v=2"))
    lines = explain("net/x.ko.xz", lzma.compress(old), lzma.compress(new))
    assert lines == ["section .modinfo, 3 -> 3 bytes, from byte 2: 31 -> 32"]
    packed = [lzma.compress(old, preset=preset) for preset in (0, 9)]
    assert explain("x.ko.xz", *packed) == ["the same module, compressed otherwise"]


@pytest.mark.parametrize("name", ["x.ko.xz", "x.pyc", "x"])
def test_damaged_files_are_compared_as_bytes(name: str) -> None:
    old, new = b"\x7fELF\x02\x01\0", b"\x7fELF\x02\x01\1"
    assert explain(name, old, new) == ["from byte 6: 00 -> 01"]
