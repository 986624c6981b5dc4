"""Which code objects of compiled modules differ."""

import importlib.util
import marshal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from image.compare.bytecode import compare_bytecode, read_code
from image.errors import FormatError

OLD = """
import os
LIMIT = 2.5

class Reader:
    def read(self, size=1):
        return [part for part in self.parts if part > size]

    def close(self):
        return 10**30, "text", b"bytes", (1, -2j, None, ...), {"a", "b"}
"""


def compiled(source: str, name: str = "/x.py") -> bytes:
    """Return a .pyc file."""
    return bytes(16) + marshal.dumps(compile(source, name, "exec"))


def test_the_function_that_differs_is_named() -> None:
    assert compare_bytecode(compiled(OLD), compiled(OLD.replace('"text"', '"Text"'))) == [
        "code of Reader.close: constants"
    ]


def test_types_of_constants_count() -> None:
    assert compare_bytecode(compiled("a = 1"), compiled("a = True")) != []
    assert compare_bytecode(compiled("a = 1"), compiled("a = 1.0")) != []


def test_functions_that_one_side_lacks() -> None:
    lines = compare_bytecode(compiled(OLD), compiled(OLD + "def added(): pass\n"))
    assert "code of added added" in lines


def test_an_other_header_alone() -> None:
    one = compiled(OLD)
    (line,) = compare_bytecode(one, b"\1" * 16 + one[16:])
    assert line.startswith("only the header differs")


def test_modules_of_the_standard_library_are_read() -> None:
    for name in ("argparse", "dataclasses", "decimal", "typing", "zipfile"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        data = compiled(Path(spec.origin).read_text(), spec.origin)
        assert read_code(data)["file"] == spec.origin, sys.version


@given(st.binary(max_size=64), st.integers(0, 400), st.integers(0, 255))
def test_damaged_files_are_errors(noise: bytes, at: int, byte: int) -> None:
    good = bytearray(compiled(OLD))
    good[16 + at % (len(good) - 16)] = byte
    for data in (bytes(good), bytes(16) + noise, bytes(16) + b")\x01" * 999):
        try:
            read_code(data)
        except FormatError:
            continue


def test_too_deep() -> None:
    with pytest.raises(FormatError, match="deeply"):
        read_code(bytes(16) + b")\x01" * 999 + b"N")
