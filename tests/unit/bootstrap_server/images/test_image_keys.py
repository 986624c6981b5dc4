"""The operator's keys for images: which files are taken, and what is said of others."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as make_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import load_pem_x509_certificate

from bootstrap_server.errors import SettingsError
from bootstrap_server.images import keys
from tests.helpers.serving.certificates import make_authority

PLAIN = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

END = b"-----END CERTIFICATE-----\n"


def test_an_ed25519_key_signs_images(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    (tmp_path / "key").write_bytes(key.private_bytes(*PLAIN))
    found = keys.read_image_key(tmp_path / "key")
    assert found is not None
    key.public_key().verify(found.sign(b"x"), b"x")
    assert keys.render_public(found).startswith(b"-----BEGIN PUBLIC KEY-----\n")
    assert keys.read_image_key(None) is None


def test_other_keys_are_refused(tmp_path: Path) -> None:
    (tmp_path / "ec").write_bytes(make_ec_key(SECP256R1()).private_bytes(*PLAIN))
    (tmp_path / "text").write_text("no key")
    for name, said in (("ec", "not an Ed25519 key"), ("text", "PEM"), ("none", "cannot read")):
        with pytest.raises(SettingsError, match=said):
            keys.read_image_key(tmp_path / name)


def test_a_root_is_known_by_its_fingerprint(tmp_path: Path) -> None:
    files = make_authority(tmp_path / "ca", "10.0.2.2")
    root = load_pem_x509_certificate(files.root.read_bytes())
    assert keys.read_root(files.root) == root.fingerprint(SHA256())
    assert keys.read_root(None) == b""


def test_what_is_no_root_is_refused(tmp_path: Path) -> None:
    files = make_authority(tmp_path / "ca", "10.0.2.2")
    leaf = tmp_path / "leaf"
    leaf.write_bytes(files.certificate.read_bytes().partition(END)[0] + END)
    for path, said in ((leaf, "root's own"), (files.certificate, "one certificate")):
        with pytest.raises(SettingsError, match=said):
            keys.read_root(path)
    with pytest.raises(SettingsError, match="no certificate"):
        keys.read_root(files.key)


def test_a_chain_without_the_root_is_refused(tmp_path: Path) -> None:
    own, other = make_authority(tmp_path / "own", "10.0.2.2"), make_authority(tmp_path / "b", "::1")
    keys.check_chain(own.certificate, keys.read_root(own.root))
    keys.check_chain(own.certificate, b"")
    keys.check_chain(None, keys.read_root(own.root))
    with pytest.raises(SettingsError, match="does not end with the certificate of tls_root"):
        keys.check_chain(own.certificate, keys.read_root(other.root))
