"""The fast hash equals Python's, and is optional."""

import ctypes
import os
from hashlib import blake2b

import pytest

from flist.blocks.blake2 import SMALL_BYTES, find_fastest, hash_plainly


def test_the_fast_hash_equals_pythons() -> None:
    fastest = find_fastest()
    sizes = [0, 1, 127, 128, 129, SMALL_BYTES - 1, SMALL_BYTES, SMALL_BYTES + 1, 65_537, 1 << 19]
    for size in [*sizes, *range(SMALL_BYTES, SMALL_BYTES + 300, 7)]:
        data = os.urandom(size)
        assert fastest(data) == hash_plainly(data) == blake2b(data, digest_size=32).digest()


def test_a_missing_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> object:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert find_fastest.__wrapped__() is hash_plainly


@pytest.mark.parametrize("version", [None, b"1.10.1"])
def test_a_library_that_refuses_or_is_wrong(
    monkeypatch: pytest.MonkeyPatch, version: bytes | None
) -> None:
    class Call:
        """Accepts everything and does nothing, so that the result stays zeros."""

        def __init__(self, answer: object) -> None:
            self.answer = answer

        def __call__(self, *_arguments: object) -> object:
            return self.answer

    class Library:
        gcry_check_version = Call(version)
        gcry_control = Call(0)
        gcry_md_algo_info = Call(0)
        gcry_md_hash_buffer = Call(None)

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Library())
    assert find_fastest.__wrapped__() is hash_plainly
