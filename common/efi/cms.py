"""CMS signatures (RFC 5652) as firmware reads them: SHA-256, RSA PKCS #1 v1.5, one signer. Pure.

Neither a signing time nor anything random is in them, so the same key and data give the same
bytes, and the signature's value is the last of them. What may be hostile is thus checked without a
parser: by making everything but that value again.
"""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from common.efi import der

SIGNED_DATA = der.oid("1.2.840.113549.1.7.2")
DATA = der.oid("1.2.840.113549.1.7.1")
CONTENT_TYPE = der.oid("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = der.oid("1.2.840.113549.1.9.4")
SHA256 = der.sequence(der.oid("2.16.840.1.101.3.4.2.1"), der.NULL)
RSA = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.NULL)


def attributes_of(kind: bytes, inner: bytes) -> list[bytes]:
    """Return the signed attributes of a content of type `kind` with the bytes `inner`."""
    digest = hashlib.sha256(inner).digest()
    return sorted(
        [
            der.sequence(CONTENT_TYPE, der.set_of([kind])),
            der.sequence(MESSAGE_DIGEST, der.set_of([der.octets(digest)])),
        ]
    )


def signed_data(
    content: bytes, certificate: x509.Certificate, attributes: list[bytes], signature: bytes
) -> bytes:
    """Return SignedData; the signature is of `set_of(attributes)`, or of detached data."""
    issuer, serial = certificate.issuer.public_bytes(), certificate.serial_number
    signer = der.sequence(
        der.integer(1),
        der.sequence(issuer, der.integer(serial)),
        SHA256,
        *([der.context(0, *attributes)] if attributes else []),
        RSA,
        der.octets(signature),
    )
    chain = der.context(0, certificate.public_bytes(Encoding.DER))
    return der.sequence(der.integer(1), der.set_of([SHA256]), content, chain, der.set_of([signer]))
