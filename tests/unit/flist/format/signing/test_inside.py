"""Signatures inside a flist, after its database."""

import contextlib
import sqlite3
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from common.publickeys import parse_public_keys
from flist.errors import FlistError, SignatureError
from flist.format.database import FlistFile
from flist.format.edit import set_tags
from flist.format.signing.keys import generate_key, public_text
from flist.format.signing.sign import sign_flist, sign_inside
from flist.format.signing.trailer import (
    MAGIC,
    MAX_SIGNATURES,
    PAGE_BYTES,
    read_database,
    read_trailer,
)
from flist.format.signing.trust import demand_signature, verify_inside
from flist.format.tables import Tables
from flist.format.writer import write_flist
from flist.model import NS, Inode

NAME = "tf-zos/production"


@pytest.fixture(name="meta")
def make_meta(tmp_path: Path) -> Path:
    """Write a flist of one directory."""
    root = Inode(1, 0, b"/", 4096, 0, 0, 0o040755, 0, NS, NS)
    meta = tmp_path / "a.fl"
    write_flist(meta, Tables([root], {}, {}, {"version": "1"}, []))
    return meta


@pytest.fixture(name="key")
def make_key(tmp_path: Path) -> Ed25519PrivateKey:
    """Make a key pair, with the public key in `key.pub`."""
    private = generate_key(tmp_path / "key")
    (tmp_path / "key.pub").write_text(public_text(private) + "\n")
    return private


def keys_of(*privates: Ed25519PrivateKey) -> list[bytes]:
    """Return the public keys."""
    return parse_public_keys("\n".join(map(public_text, privates)))


def test_readers_ignore_the_trailer(meta: Path, key: Ed25519PrivateKey) -> None:
    before = meta.read_bytes()
    sign_inside(meta, NAME, key)
    assert meta.read_bytes().startswith(before)
    assert meta.stat().st_size % PAGE_BYTES == 0
    with FlistFile.open(meta) as flist:
        assert flist.tags() == {"version": "1"}
    connection = sqlite3.connect(meta)  # as upstream opens it: writable, with a journal mode
    try:
        assert connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT count(*) FROM inode").fetchone() == (1,)
    finally:
        connection.close()
    assert verify_inside(meta, NAME, keys_of(key)) == NAME
    assert verify_inside(meta, None, keys_of(key)) == NAME
    assert read_database(meta) == before


def test_every_changed_byte_is_refused(meta: Path, key: Ed25519PrivateKey) -> None:
    sign_inside(meta, NAME, key)
    data = meta.read_bytes()
    body = len(read_database(meta))
    for place in sorted({*range(0, body, 97), *range(100), *range(len(data) - 24, len(data))}):
        meta.write_bytes(flipped(data, place))
        with pytest.raises(SignatureError):
            verify_inside(meta, NAME, keys_of(key))
    for place in range(body, len(data) - 24):  # a changed text may be valid, but never another one
        meta.write_bytes(flipped(data, place))
        with contextlib.suppress(SignatureError):
            assert verify_inside(meta, None, keys_of(key)) == NAME


def flipped(data: bytes, place: int) -> bytes:
    """Return `data` with one bit changed."""
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("cut", [1, 23, 24, 25, 200, PAGE_BYTES, PAGE_BYTES + 1, 20_000])
def test_truncation_and_additions_are_refused(meta: Path, key: Ed25519PrivateKey, cut: int) -> None:
    sign_inside(meta, NAME, key)
    data = meta.read_bytes()
    body = len(read_database(meta))
    for wrong in (
        data[:-cut], data[cut:], data + bytes(cut), data[:body] + bytes(PAGE_BYTES) + data[body:],
    ):  # fmt: skip
        meta.write_bytes(wrong)
        with pytest.raises(SignatureError):
            verify_inside(meta, NAME, keys_of(key))


def test_name_and_key_must_match(meta: Path, key: Ed25519PrivateKey) -> None:
    sign_inside(meta, NAME, key)
    with pytest.raises(SignatureError, match="signed as"):
        verify_inside(meta, "tf-zos/testing", keys_of(key))
    with pytest.raises(SignatureError, match="trusted key"):
        verify_inside(meta, NAME, keys_of(Ed25519PrivateKey.generate()))
    text = read_trailer(meta)[1][0].replace("production", "testing000")
    data = meta.read_bytes()
    old = read_trailer(meta)[1][0].encode()
    assert len(old) == len(text)
    meta.write_bytes(data.replace(old, text.encode()))
    with pytest.raises(SignatureError, match="trusted key"):
        verify_inside(meta, None, keys_of(key))


def test_keys_can_be_rotated_without_a_gap(meta: Path, key: Ed25519PrivateKey) -> None:
    new = Ed25519PrivateKey.generate()
    sign_inside(meta, NAME, key)
    sign_inside(meta, NAME, new)
    sign_inside(meta, NAME, new)
    assert len(read_trailer(meta)[1]) == 2
    verify_inside(meta, NAME, keys_of(key))
    verify_inside(meta, NAME, keys_of(new))
    sign_inside(meta, NAME, new, are_others_kept=False)
    verify_inside(meta, NAME, keys_of(new))
    with pytest.raises(SignatureError, match="trusted key"):
        verify_inside(meta, NAME, keys_of(key))


def test_the_number_of_signatures_is_limited(meta: Path, key: Ed25519PrivateKey) -> None:
    for number in range(MAX_SIGNATURES):
        sign_inside(meta, f"me/{number:0200}", key)
    with pytest.raises(FlistError, match="already"):
        sign_inside(meta, NAME, key)
    assert verify_inside(meta, f"me/{MAX_SIGNATURES - 1:0200}", keys_of(key))


def test_a_change_of_the_flist_removes_the_signature(meta: Path, key: Ed25519PrivateKey) -> None:
    sign_inside(meta, NAME, key)
    set_tags(meta, {"version": "2"})
    assert read_trailer(meta) == (meta.stat().st_size, [])
    sign_inside(meta, NAME, key)
    connection = sqlite3.connect(meta)  # as a program would that does not know about trailers
    connection.execute("UPDATE tag SET value = '3'")
    connection.commit()
    connection.close()
    with pytest.raises(SignatureError):
        verify_inside(meta, NAME, keys_of(key))
    sign_inside(meta, NAME, key)
    assert len(read_trailer(meta)[1]) == 1
    verify_inside(meta, NAME, keys_of(key))


def test_a_signature_may_be_inside_or_beside(
    meta: Path, key: Ed25519PrivateKey, tmp_path: Path
) -> None:
    keys = tmp_path / "key.pub"
    with pytest.raises(SignatureError, match="can't be read"):
        demand_signature(meta, keys, NAME)
    sign_inside(meta, NAME, key)
    assert demand_signature(meta, keys) == NAME
    beside = meta.with_name(meta.name + ".sig")
    beside.write_text("name: x\nsha256: y\ned25519: z\n")  # one valid signature is enough
    assert demand_signature(meta, keys, NAME) == NAME
    sign_inside(meta, NAME, Ed25519PrivateKey.generate(), are_others_kept=False)
    beside.write_text(sign_flist(meta, NAME, key))
    assert demand_signature(meta, keys, NAME) == NAME
    beside.unlink()
    with pytest.raises(SignatureError, match="trusted key"):
        demand_signature(meta, keys, NAME)


def test_a_file_that_is_not_a_flist_is_not_signed(tmp_path: Path, key: Ed25519PrivateKey) -> None:
    for number, data in enumerate((b"", b"x", b"SQLite format 3\0" + bytes(84), bytes(5000))):
        path = tmp_path / f"{number}.fl"
        path.write_bytes(data)
        with pytest.raises(FlistError):
            sign_inside(path, NAME, key)
        assert path.read_bytes() == data


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tail=st.binary(max_size=300), length=st.integers(0, 2**64 - 1), has_magic=st.booleans())
def test_no_trailer_crashes_the_reader(
    meta: Path, key: Ed25519PrivateKey, tail: bytes, length: int, *, has_magic: bool
) -> None:
    body = read_database(meta)
    end = tail + (MAGIC + min(length, 2**64 - 1).to_bytes(8, "little") if has_magic else b"")
    other = meta.with_name("b.fl")
    for data in (body + end, body + bytes(-len(end) % PAGE_BYTES) + end, end):
        other.write_bytes(data)
        with pytest.raises(SignatureError):
            verify_inside(other, None, keys_of(key))
