"""Compression, encryption and keys."""

import os
from pathlib import Path

import pytest

from zstor.codec.cipher import seal, seal_stream, unseal, unseal_stream
from zstor.codec.compression import (
    IDENTIFIER,
    Compression,
    compress,
    decompress,
    frame,
    limited,
    unframe,
)
from zstor.codec.keys import (
    derive,
    make_data_key,
    make_identity,
    read_identity,
    read_recipient,
    unwrap_with_key,
    wrap_with_key,
)
from zstor.errors import DamagedError, ZstorError


@pytest.mark.parametrize("kind", list(Compression))
@pytest.mark.parametrize("data", [b"", b"a", b"ab" * 50_000, os.urandom(70_000)])
def test_a_chunk_comes_back_whatever_its_compression(kind: Compression, data: bytes) -> None:
    packed = compress(data, kind)
    assert len(packed) <= len(data) + 1
    assert decompress(packed, len(data)) == data


@pytest.mark.parametrize("kind", list(Compression))
def test_a_chunk_of_another_size_is_refused(kind: Compression) -> None:
    packed = compress(b"ab" * 50_000, kind)
    for size in (99_999, 100_001):
        with pytest.raises(DamagedError):
            decompress(packed, size)


@pytest.mark.parametrize(
    "data", [b"", b"\x07abc", b"\x01abc", b"\x02abc", b"\x02" + IDENTIFIER[:-1]]
)
def test_a_damaged_chunk_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedError):
        decompress(data, 3)


def test_a_snappy_stream_may_come_in_any_parts() -> None:
    data = os.urandom(100_000) + bytes(100_000)
    packed = b"".join(frame([data]))
    for step in (1, 13, 65_536):
        parts = (packed[i : i + step] for i in range(0, len(packed), step))
        assert b"".join(unframe(parts)) == data


@pytest.mark.parametrize(
    "wrong",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[:12] + bytes([packed[12] ^ 1]) + packed[13:],
        lambda packed: b"\xff\x06\x00\x00sNaPpX" + packed[10:],
        lambda packed: packed + b"\x01\xff\xff\xff",
        lambda packed: packed + b"\x02\x00\x00\x00",
    ],
)
def test_a_damaged_snappy_stream_is_refused(wrong: object) -> None:
    assert callable(wrong)
    with pytest.raises(DamagedError):
        b"".join(unframe([wrong(b"".join(frame([b"some text"])))]))


def test_more_than_was_stored_is_refused() -> None:
    with pytest.raises(DamagedError):
        list(limited([b"abc", b"def"], 5))


def test_sealed_bytes_open_only_with_their_key_and_place() -> None:
    key = make_data_key()
    text = seal(key, b"text", b"here")
    assert unseal(key, text, b"here") == b"text"
    changed = text[:-1] + bytes([text[-1] ^ 1])
    for args in ((make_data_key(), text, b"here"), (key, text, b""), (key, changed, b"here")):
        with pytest.raises(DamagedError):
            unseal(*args)
    with pytest.raises(DamagedError):
        unseal(key, text[:20])


@pytest.mark.parametrize("length", [0, 1, 100, 5000])
@pytest.mark.parametrize("step", [1, 11, 12, 16, 4096])
def test_a_sealed_stream_is_sealed_bytes(length: int, step: int) -> None:
    key, data = make_data_key(), os.urandom(length)
    text = b"".join(seal_stream(key, [data[i : i + step] for i in range(0, length, step)]))
    assert unseal(key, text) == data
    parts = [text[i : i + step] for i in range(0, len(text), step)]
    assert b"".join(unseal_stream(key, parts)) == data
    for wrong in (text[:-1], text[:20], text[:5], bytes([text[0] ^ 1]) + text[1:]):
        with pytest.raises(DamagedError):
            b"".join(unseal_stream(key, [wrong]))


def test_a_data_key_is_for_its_recipient_and_place(tmp_path: Path) -> None:
    identity = make_identity()
    (tmp_path / "secret").write_text(identity.text())
    (tmp_path / "public").write_text(identity.recipient().text())
    key = make_data_key()
    wrapped = read_recipient(tmp_path / "public").wrap(key, b"file 1")
    assert key not in wrapped
    assert read_identity(tmp_path / "secret").unwrap(wrapped, b"file 1") == key
    for other, place in ((identity, b"file 2"), (make_identity(), b"file 1")):
        with pytest.raises(DamagedError, match="another key"):
            other.unwrap(wrapped, place)


def test_files_that_are_no_keys_are_refused(tmp_path: Path) -> None:
    secret = make_identity().text()
    for text in ("", "zstor-secret-key-1 !!", secret[:-8], "a b c", secret.replace("1", "2", 1)):
        (tmp_path / "key").write_text(text)
        with pytest.raises(ZstorError, match="no zstor-secret-key-1 in it"):
            read_identity(tmp_path / "key")
    (tmp_path / "key").write_text(f"zstor-public-key-1 {'/' * 1620}8=\n")
    with pytest.raises(ZstorError):
        read_recipient(tmp_path / "key")


def test_a_wrapped_key_needs_the_configured_one() -> None:
    own, key = make_data_key(), make_data_key()
    wrapped = wrap_with_key(own, key, b"file")
    assert unwrap_with_key(own, wrapped, b"file") == key
    with pytest.raises(DamagedError):
        unwrap_with_key(make_data_key(), wrapped, b"file")


def test_purposes_have_different_keys() -> None:
    assert derive(bytes(32), b"a") != derive(bytes(32), b"b")
