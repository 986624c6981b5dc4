"""Certificates of the node's key: the authority's is always the same, a leaf is a server's."""

import contextlib
import datetime
import ipaddress
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from core.identity.certificates import make_authority, make_leaf
from core.identity.model import Identity, IdentityError

IDENTITY = Identity(bytes(range(32)), "ephemeral")


def public_pem(
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey,
) -> str:
    """Return the public half in PEM."""
    form = (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return key.public_key().public_bytes(*form).decode()


LEAF = public_pem(ec.generate_private_key(ec.SECP256R1()))


def test_the_authority_is_the_nodes_key_and_the_same_at_each_boot() -> None:
    pem = make_authority(IDENTITY)
    assert pem == make_authority(Identity(bytes(range(32)), "tpm"))
    found = x509.load_pem_x509_certificate(pem.encode())
    key = found.public_key()
    assert isinstance(key, ed25519.Ed25519PublicKey)
    assert key.public_bytes_raw() == IDENTITY.public
    assert found.subject.rfc4514_string() == f"CN={IDENTITY.node}"


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP256R1())]
)
def test_a_leaf_is_verified_by_the_authority(
    key: ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
) -> None:
    names = ["node.example", "10.1.2.3", "fe80::1"]
    leaf = x509.load_pem_x509_certificate(make_leaf(IDENTITY, public_pem(key), names).encode())
    authority = x509.load_pem_x509_certificate(make_authority(IDENTITY).encode())
    leaf.verify_directly_issued_by(authority)
    said = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert said.get_values_for_type(x509.DNSName) == ["node.example"]
    addresses = [ipaddress.ip_address(name) for name in names[1:]]
    assert said.get_values_for_type(x509.IPAddress) == addresses
    now = datetime.datetime.now(datetime.UTC)
    assert leaf.not_valid_before_utc < now < leaf.not_valid_after_utc
    assert leaf.not_valid_after_utc - now < datetime.timedelta(days=31)


def test_a_client_that_trusts_the_authority_speaks_to_the_leaf(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = make_leaf(IDENTITY, public_pem(key), ["node.example"])
    (tmp_path / "pem").write_text(key.private_bytes(*form).decode() + chain)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "pem")
    client = ssl.create_default_context(cadata=make_authority(IDENTITY))
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    shake_hands(client, server, "node.example")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(client, server, "other.example")
    other = make_authority(Identity(bytes(32), "tpm"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(ssl.create_default_context(cadata=other), server, "node.example")


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    """Let a client verify a server, in memory."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, there, server_hostname=name),
        server.wrap_bio(there, back, server_side=True),
    ]
    while ends:
        for end in list(ends):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
                ends.remove(end)


@pytest.mark.parametrize(
    ("pem", "names"),
    [
        ("", ["a"]),
        ("x" * 5000, ["a"]),
        (public_pem(rsa.generate_private_key(65537, 2048)), ["a"]),
        (LEAF, []),
        (LEAF, ["a"] * 33),
        (LEAF, "a"),
        (LEAF, ["a b"]),
        (LEAF, ["*.example"]),
        (LEAF, [""]),
        (LEAF, [7.5]),
    ],
)
def test_another_request_is_refused(pem: str, names: list[str]) -> None:
    with pytest.raises(IdentityError, match="cannot make the certificate"):
        make_leaf(IDENTITY, pem, names)
