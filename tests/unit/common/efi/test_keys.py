"""Keys in files and the names of keys in tokens."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from common.efi.errors import EfiError
from common.efi.keys import hide_pin, is_signature
from common.efi.sources import open_key, open_signer, read_certificate
from common.efi.token import parse_uri
from tests.helpers.efi import secure_boot_keys


def write_key(path: Path, data: bytes, mode: int = 0o600) -> str:
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


def test_a_key_signs_what_its_certificate_proves() -> None:
    folder = secure_boot_keys()
    signer = open_signer(str(folder / "db.key"), folder / "db.crt")
    public = open_key(str(folder / "db.key")).public
    assert is_signature(public, signer.sign(b"data"), b"data")
    assert not is_signature(public, signer.sign(b"data"), b"other")
    with pytest.raises(EfiError, match="not that of the key"):
        open_signer(str(folder / "db.key"), folder / "KEK.crt")


def test_keys_that_can_not_be_used(tmp_path: Path) -> None:
    good = (secure_boot_keys() / "db.key").read_bytes()
    with pytest.raises(EfiError, match="other users may read it") as caught:
        open_key(write_key(tmp_path / "shared", good, 0o640))
    assert caught.value.hint == f"chmod 600 {tmp_path / 'shared'}"
    secret = BestAvailableEncryption(b"secret")
    locked = load_pem_private_key(good, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, secret
    )
    with pytest.raises(EfiError, match="it is encrypted"):
        open_key(write_key(tmp_path / "locked", locked))
    other = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    with pytest.raises(EfiError, match="RSA keys only"):
        open_key(write_key(tmp_path / "other", other))
    with pytest.raises(EfiError, match="not a private key in PEM"):
        open_key(write_key(tmp_path / "bad", b"bad"))
    with pytest.raises(EfiError, match="No such file"):
        open_key(str(tmp_path / "none"))
    with pytest.raises(EfiError, match="not one in PEM"):
        read_certificate(tmp_path / "bad")


def test_a_uri_names_a_key_in_a_token() -> None:
    uri = "pkcs11:token=My%20token;object=db?module-path=/lib/x.so&pin-source=file:/pin"
    assert parse_uri(uri) == {
        "token": "My token",
        "object": "db",
        "module-path": "/lib/x.so",
        "pin-source": "file:/pin",
    }


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("pkcs11:object=db?module-path=/x", "it has no token"),
        ("pkcs11:token=t?module-path=/x", "it has no object"),
        ("pkcs11:token=t;object=db?pin-value=1234", "it has no module-path"),
        ("pkcs11:token=t;object=db;colour=red?pin-value=1234", "unknown attribute 'colour'"),
    ],
)
def test_a_uri_that_names_no_key(uri: str, message: str) -> None:
    with pytest.raises(EfiError, match=message) as caught:
        parse_uri(uri)
    assert "1234" not in str(caught.value)


def test_a_pin_is_not_shown() -> None:
    assert hide_pin("pkcs11:token=t?pin-value=1") == "pkcs11:token=t"
    assert hide_pin("/file?") == "/file?"
