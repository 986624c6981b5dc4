"""A trust anchor made of a public key alone.

OpenSSL trusts certificates, not keys. What it takes from an anchor is the subject and the key; the
anchor's own signature is not checked (RFC 5280, 6.1.1), so a key that is thrown away makes it.
Give the context `ssl.VERIFY_X509_PARTIAL_CHAIN`, as the anchor is not self-signed.
"""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

FARM = "Zero-OS farm"  # the subject of every farm's key
UTC = datetime.UTC
BEGINS = datetime.datetime(2020, 1, 1, tzinfo=UTC)
ENDS = datetime.datetime(9999, 12, 31, tzinfo=UTC)


def make_anchor(subject: str, public: bytes) -> str:
    """Return a certificate, in PEM, that makes OpenSSL trust an Ed25519 key as `subject`."""
    key = Ed25519PublicKey.from_public_bytes(public)
    builder = (
        x509.CertificateBuilder()
        .subject_name(common_name(subject))
        .issuer_name(common_name(f"anchor of {subject}"[:64]))
        .public_key(key)
        .serial_number(1)
        .not_valid_before(BEGINS)
        .not_valid_after(ENDS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
    signed = builder.sign(Ed25519PrivateKey.generate(), None)
    return signed.public_bytes(Encoding.PEM).decode()


def common_name(text: str) -> x509.Name:
    """Return a name that is a common name only."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
