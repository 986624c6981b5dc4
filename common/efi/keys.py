"""Keys and signers, wherever the private halves are. Pure."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

URI = "pkcs11:"


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair: `sign` returns the RSA PKCS #1 v1.5 signature of the SHA-256 of its argument."""

    public: RSAPublicKey
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Signer:
    """A key with its certificate."""

    certificate: x509.Certificate
    sign: Callable[[bytes], bytes]


def public_key(certificate: x509.Certificate) -> RSAPublicKey:
    """Return the key of a certificate that `read_certificate` returned."""
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    return key


def fingerprint(key: RSAPublicKey) -> str:
    """Return the SHA-256 by which systemd names a public key: of its PKCS #1 form."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.PKCS1)).hexdigest()


def is_signature(public: RSAPublicKey, signature: bytes, data: bytes) -> bool:
    """Return whether the private half of `public` signed `data`."""
    with contextlib.suppress(InvalidSignature):
        public.verify(signature, data, PKCS1v15(), SHA256())
        return True
    return False


def hide_pin(name: str) -> str:
    """Return a key's name without what a URI has after "?", which may be a PIN."""
    return name.partition("?")[0] if name.startswith(URI) else name
