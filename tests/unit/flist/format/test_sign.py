"""Signatures of flists."""

import base64
import errno
import os
from pathlib import Path

import pytest

from common.publickeys import parse_public_keys
from flist.errors import FlistError, SignatureError
from flist.format.signing.keys import generate_key, load_private_key, load_public_keys, public_text
from flist.format.signing.sign import sign_flist
from flist.format.signing.trust import demand_signature, verify_flist


@pytest.fixture(name="signed")
def make_signed(tmp_path: Path) -> tuple[Path, str, list[bytes]]:
    meta = tmp_path / "a.fl"
    meta.write_bytes(b"content of a flist")
    private = generate_key(tmp_path / "key")
    text = sign_flist(meta, "tf-zos/production", private)
    return meta, text, parse_public_keys(public_text(private))


def test_good(signed: tuple[Path, str, list[bytes]], tmp_path: Path) -> None:
    meta, text, keys = signed
    verify_flist(meta, text, "tf-zos/production", keys)
    verify_flist(meta, text, "tf-zos/production", [b"\0" * 32, *keys])
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    again = load_private_key(tmp_path / "key")
    assert sign_flist(meta, "tf-zos/production", again) == text


def test_every_change_is_refused(signed: tuple[Path, str, list[bytes]]) -> None:
    meta, text, keys = signed
    other = text.replace("production", "testing")
    with pytest.raises(SignatureError, match="signed as"):
        verify_flist(meta, other, "tf-zos/production", keys)
    with pytest.raises(SignatureError, match="trusted key"):
        verify_flist(meta, other, "tf-zos/testing", keys)
    with pytest.raises(SignatureError, match="trusted key"):
        verify_flist(meta, text, "tf-zos/production", [b"\x01" * 32])
    with pytest.raises(SignatureError):
        verify_flist(meta, text, "tf-zos/production", [])
    for wrong in ("", text + "more: x\n", text[:-10], "x" * 5000, text.replace("sha256", "md5")):
        with pytest.raises(SignatureError):
            verify_flist(meta, wrong, "tf-zos/production", keys)
    data = meta.read_bytes()
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1
        meta.write_bytes(changed)
        with pytest.raises(SignatureError, match="not the file"):
            verify_flist(meta, text, "tf-zos/production", keys)


def test_key_files(tmp_path: Path) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    path = tmp_path / "keys"
    path.write_text(f"# trusted\n\n{key} # ours\n")
    assert load_public_keys(path) == [b"k" * 32]
    path.write_text("# none\n")
    with pytest.raises(FlistError, match="there is no key"):
        load_public_keys(path)
    path.write_text("not a key")
    with pytest.raises(FlistError, match="line 1"):
        load_public_keys(path)
    generate_key(tmp_path / "k")
    with pytest.raises(FlistError, match="exists already"):
        generate_key(tmp_path / "k")
    with pytest.raises(FlistError, match="private key"):
        load_private_key(path)


def test_a_key_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_source: object, _target: object) -> None:
        assert not (tmp_path / "k").exists()
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", stop)
        with pytest.raises(FlistError, match="Input/output error"):
            generate_key(tmp_path / "k")
    assert list(tmp_path.iterdir()) == []
    generate_key(tmp_path / "k")
    with pytest.raises(FlistError, match="exists already"):
        generate_key(tmp_path / "k")
    assert [path.name for path in tmp_path.iterdir()] == ["k"]
    assert load_private_key(tmp_path / "k")


def test_demand(signed: tuple[Path, str, list[bytes]], tmp_path: Path) -> None:
    meta, text, keys = signed
    (tmp_path / "keys").write_text(base64.b64encode(keys[0]).decode())
    with pytest.raises(SignatureError, match="can't be read"):
        demand_signature(meta, tmp_path / "keys")
    (tmp_path / "a.fl.sig").write_text(text)
    demand_signature(meta, tmp_path / "keys")
    demand_signature(meta, tmp_path / "keys", "tf-zos/production")
    with pytest.raises(SignatureError):
        demand_signature(meta, tmp_path / "keys", "tf-zos/testing")


def test_a_private_key_is_not_taken_for_a_public_one(tmp_path: Path) -> None:
    private = generate_key(tmp_path / "key")
    with pytest.raises(ValueError, match=r"line 1 is a private key; .* \.pub"):
        parse_public_keys((tmp_path / "key").read_text())
    (tmp_path / "old").write_text(base64.b64encode(private.private_bytes_raw()).decode())
    again = load_private_key(tmp_path / "old")  # as keygen wrote them once
    assert public_text(again) == public_text(private)
