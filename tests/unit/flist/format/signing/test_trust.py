"""Signatures beside a flist: made, verified, and demanded with a key file."""

import base64
from pathlib import Path

import pytest

from common.publickeys import parse_public_keys
from flist.errors import SignatureError
from flist.format.signing.keys import generate_key, load_private_key, public_text
from flist.format.signing.sign import sign_flist
from flist.format.signing.trust import demand_signature, verify_flist


@pytest.fixture(name="signed")
def make_signed(tmp_path: Path) -> tuple[Path, str, list[bytes]]:
    meta = tmp_path / "a.fl"
    meta.write_bytes(b"content of a flist")
    private = generate_key(tmp_path / "key")
    text = sign_flist(meta, "tf-zos/production", private)
    return meta, text, parse_public_keys(public_text(private))


def test_a_valid_signature_is_accepted(
    signed: tuple[Path, str, list[bytes]], tmp_path: Path
) -> None:
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


def test_a_demanded_signature_is_looked_for_beside_the_flist(
    signed: tuple[Path, str, list[bytes]], tmp_path: Path
) -> None:
    meta, text, keys = signed
    (tmp_path / "keys").write_text(base64.b64encode(keys[0]).decode())
    with pytest.raises(SignatureError, match="can't be read"):
        demand_signature(meta, tmp_path / "keys")
    (tmp_path / "a.fl.sig").write_text(text)
    demand_signature(meta, tmp_path / "keys")
    demand_signature(meta, tmp_path / "keys", "tf-zos/production")
    with pytest.raises(SignatureError):
        demand_signature(meta, tmp_path / "keys", "tf-zos/testing")
