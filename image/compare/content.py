"""Says where two contents differ: lines of text, sections of ELF, code objects of Python. Pure."""

import difflib
from collections.abc import Callable, Mapping

from common.text import printable
from image.compare.bytecode import compare_bytecode
from image.compare.model import Change
from image.errors import ImageError
from image.formats.elf import is_elf, read_sections
from image.parts.modules import unpack_module

TEXT_MAX_BYTES = 256 << 10
DIFF_LINES_MAX = 20
SHOWN_BYTES = 8
SECTIONS_MAX = 20
Explain = Callable[[bytes, bytes], list[str]]


def compare_content(name: str, old: bytes, new: bytes) -> Change:
    """Return the change of two contents that differ."""
    sizes = (f"{len(old)} bytes", f"{len(new)} bytes")
    return Change("content", *sizes, tuple(explain(name, old, new)))


def explain(name: str, old: bytes, new: bytes) -> list[str]:
    """Return lines about what differs; what can't be read as its kind is compared as bytes."""
    try:
        if name.endswith(".ko.xz"):
            return _modules(name, old, new)
        if name.endswith(".pyc"):
            return compare_bytecode(old, new)
        if is_elf(old) and is_elf(new):
            return compare_sections(read_sections(old), read_sections(new)) or [offset(old, new)]
    except ImageError:
        return [offset(old, new)]
    return compare_text(old, new) or [offset(old, new)]


def offset(old: bytes, new: bytes) -> str:
    """Return the line that says at which byte two contents begin to differ."""
    at = first_difference(old, new)
    ends = [data[at : at + SHOWN_BYTES].hex(" ") or "the end" for data in (old, new)]
    return f"from byte {at}: {ends[0]} -> {ends[1]}"


def first_difference(old: bytes, new: bytes) -> int:
    """Return the offset of the first byte that differs, found by halving."""
    low, high = 0, min(len(old), len(new))
    while low < high:
        middle = (low + high + 1) // 2
        if old[low:middle] == new[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _modules(name: str, old: bytes, new: bytes) -> list[str]:
    plain = [unpack_module(name, data) for data in (old, new)]
    if plain[0] == plain[1]:
        return ["the same module, compressed otherwise"]
    return compare_sections(*map(read_sections, plain)) or [offset(*plain)]


def compare_sections(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> list[str]:
    """Return a line for each section that differs."""
    lines = []
    for name in sorted(old.keys() | new.keys()):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        label = f"section {printable(name)}"
        if before is None or after is None:
            lines.append(f"{label} {'added' if before is None else 'removed'}")
        else:
            lines.append(f"{label}, {len(before)} -> {len(after)} bytes, {offset(before, after)}")
    return shorten(lines, SECTIONS_MAX)


def compare_text(old: bytes, new: bytes) -> list[str]:
    """Return the beginning of a unified diff; none if one is not text, or is long."""
    if max(len(old), len(new)) > TEXT_MAX_BYTES or b"\0" in old or b"\0" in new:
        return []
    try:
        before, after = (data.decode().split("\n") for data in (old, new))
    except UnicodeDecodeError:
        return []
    lines = list(difflib.unified_diff(before, after, n=1, lineterm=""))[2:]
    return shorten([printable(line, kept="\t") for line in lines], DIFF_LINES_MAX)


def shorten(lines: list[str], most: int) -> list[str]:
    """Return at most `most` lines, and how many more there are."""
    left = len(lines) - most
    return lines if left <= 0 else [*lines[:most], f"... and {left} more lines"]
