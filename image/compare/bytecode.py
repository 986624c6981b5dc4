"""Says which code objects of compiled Python modules differ.

The constants' format is that of CPython 3.11 to 3.13 (Python/marshal.c). `marshal.loads` reads only
that of the Python which runs this, and must not be given bytes that nobody has verified.
"""

import struct
from typing import TYPE_CHECKING, Any

from image.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER_BYTES = 16
DEPTH_MAX = 100
NAMES_MAX = 20
REFERENCE = 0x80
LONGS = ("arguments", "positional", "keywords", "stack", "flags")
CODE = (
    *("code", "constants", "names", "locals", "kinds"),
    *("file", "name", "qualified", "line", "lines", "handlers"),
)
CONSTANTS = {"N": None, "T": True, "F": False, ".": ..., "S": StopIteration, "0": ""}


class Code(dict[str, Any]):
    """A code object: its fields by name."""


def compare_bytecode(old: bytes, new: bytes) -> list[str]:
    """Return a line for each code object that differs. Raises `FormatError`."""
    if old[HEADER_BYTES:] == new[HEADER_BYTES:] != b"":
        return ["only the header differs: another Python, or another source"]
    before, after = collect_code(read_code(old)), collect_code(read_code(new))
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before or name not in after:
            lines.append(f"code of {ascii(name)[1:-1]} {'added' if name in after else 'removed'}")
        elif fields := changed_fields(before[name], after[name]):
            lines.append(f"code of {ascii(name)[1:-1]}: {', '.join(fields)}")
    if not lines:
        return ["the same code, written otherwise"]
    more = len(lines) - NAMES_MAX
    return [*lines[:NAMES_MAX], f"... and {more} more code objects"] if more > 0 else lines


def changed_fields(old: Code, new: Code) -> list[str]:
    """Return the names of the fields that differ, but for the code objects among constants."""
    return [key for key in (*LONGS, *CODE) if _plain(old[key]) != _plain(new[key])]


def collect_code(module: Code) -> dict[str, Code]:
    """Return a code object and all within it, by qualified name; a name may get a number."""
    found: dict[str, Code] = {}
    todo = [module]
    while todo:
        code = todo.pop(0)
        name, count = str(code["qualified"]), 1
        while name in found:
            count += 1
            name = f"{code['qualified']} ({count})"
        found[name] = code
        constants = code["constants"]
        inner = constants if isinstance(constants, tuple) else ()
        todo += [constant for constant in inner if isinstance(constant, Code)]
    return found


def read_code(data: bytes) -> Code:
    """Return the code object of a .pyc file. Raises `FormatError`."""
    try:
        code = _Reader(data, HEADER_BYTES).read()
    except (struct.error, IndexError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"cannot read the byte code: {error}") from error
    if not isinstance(code, Code):
        raise FormatError("cannot read the byte code: it is no module")
    return code


def _plain(value: object) -> object:
    """Return `value` in a form that tells 1, 1.0 and True apart, and all code objects alike."""
    if isinstance(value, Code):
        return "code"
    if isinstance(value, tuple):
        return ("tuple", *map(_plain, value))
    return (type(value).__name__, repr(value))


class _Reader:
    """Reads marshalled values; every size is checked by the data that is there."""

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at
        self._seen: list[object] = []
        self._depth = 0

    def read(self) -> object:
        byte = self._take(1)[0]
        kind = chr(byte & ~REFERENCE)
        place = len(self._seen) if byte & REFERENCE else None
        if place is not None:
            self._seen.append(None)
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise ValueError("nested too deeply")
        value = self._value(kind)
        self._depth -= 1
        if place is not None:
            self._seen[place] = value
        return value

    def _value(self, kind: str) -> object:
        if kind in CONSTANTS:
            return CONSTANTS[kind]
        readers: dict[str, Callable[[], object]] = {
            "i": self._number,
            "l": lambda: self._take(2 * abs(self._number())),
            "g": lambda: struct.unpack("<d", self._take(8))[0],
            "y": lambda: struct.unpack("<dd", self._take(16)),
            "s": lambda: self._take(self._number()),
            "r": lambda: self._seen[self._number()],
            "c": self._code,
            "(": lambda: self._items(self._number()),
            ")": lambda: self._items(self._take(1)[0]),
            "<": lambda: ("set", self._items(self._number())),
            ">": lambda: ("set", self._items(self._number())),
        }
        if kind in "utaA":
            return self._take(self._number()).decode("utf-8", "surrogatepass")
        if kind in "zZ":
            return self._take(self._take(1)[0]).decode("latin-1")
        if kind not in readers:
            raise ValueError(f"unknown type {kind!r}")
        return readers[kind]()

    def _code(self) -> Code:
        code = Code({name: self._number() for name in LONGS})
        for name in CODE:
            code[name] = self._number() if name == "line" else self.read()
        return code

    def _items(self, count: int) -> tuple[object, ...]:
        if not 0 <= count <= len(self._data) - self._at:  # each takes a byte or more
            raise ValueError("a size that can't be")
        return tuple(self.read() for _ in range(count))

    def _number(self) -> int:
        value: int = struct.unpack("<i", self._take(4))[0]
        return value

    def _take(self, count: int) -> bytes:
        if not 0 <= count <= len(self._data) - self._at:
            raise ValueError("it ends too early")
        self._at += count
        return self._data[self._at - count : self._at]
