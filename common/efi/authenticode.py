"""Authenticode: the signature of an EFI binary, which Secure Boot checks. Pure.

Microsoft's "Windows Authenticode Portable Executable Signature Format" describes it. The digest is
of the whole file but for the checksum, the signatures and where they are.
"""

import hashlib
import struct
from dataclasses import dataclass

from cryptography import x509

from common.efi import cms, der
from common.efi.errors import EfiError
from common.efi.keys import Signer, is_signature, public_key
from common.efi.pe import AT_CERTIFICATES, AT_CHECKSUM, Image

INDIRECT_DATA = der.oid("1.3.6.1.4.1.311.2.1.4")
# SpcPeImageData: no flags, and an empty file name.
PE_IMAGE_DATA = der.sequence(
    der.oid("1.3.6.1.4.1.311.2.1.15"),
    der.sequence(
        der.tagged(der.BIT_STRING, b"\0"), der.context(0, der.context(2, der.tagged(0x80)))
    ),
)
REVISION, PKCS_SIGNED_DATA = 0x0200, 0x0002
CERTIFICATE = struct.Struct("<IHH")
ALIGNMENT = 8


def image_digest(data: bytes) -> bytes:
    """Return the SHA-256 that Secure Boot checks and that the firmware measures into PCR 4."""
    image = Image.parse(data)
    start, size = image.certificates
    end = start if size else len(data)
    view, at = memoryview(data), image.optional
    state = hashlib.sha256(view[: at + AT_CHECKSUM])
    state.update(view[at + AT_CHECKSUM + 4 : at + AT_CERTIFICATES])
    state.update(view[at + AT_CERTIFICATES + 8 : end])
    state.update(bytes(-end % ALIGNMENT))
    return state.digest()


def sign_image(data: bytes, signer: Signer) -> bytes:
    """Return the signed EFI binary. Raises `EfiError` if it is signed already."""
    if Image.parse(data).certificates[1]:
        raise EfiError("cannot sign the EFI binary: it is signed already")
    message = Message.of(image_digest(data))
    signature = signer.sign(message.signed)
    return attach(data, message.encode(signer.certificate, signature))


def attach(data: bytes, signature: bytes) -> bytes:
    """Return `data`, which is not signed, with the table of its one signature."""
    body = data + bytes(-len(data) % ALIGNMENT)
    padded = signature + bytes(-(CERTIFICATE.size + len(signature)) % ALIGNMENT)
    size = CERTIFICATE.size + len(padded)
    result = bytearray(body + CERTIFICATE.pack(size, REVISION, PKCS_SIGNED_DATA) + padded)
    at = Image.parse(data).optional
    struct.pack_into("<II", result, at + AT_CERTIFICATES, len(body), size)
    return bytes(result)


def strip_signatures(data: bytes) -> bytes:
    """Return the EFI binary as it was before it was signed."""
    image = Image.parse(data)
    start, size = image.certificates
    result = bytearray(data[:start] if size else data)
    struct.pack_into("<II", result, image.optional + AT_CERTIFICATES, 0, 0)
    return bytes(result)


def verify_image(data: bytes, certificate: x509.Certificate) -> None:
    """Raise `EfiError` unless `sign_image` with the key of `certificate` signed these bytes.

    Signatures of other programs, which may have a signing time, are not accepted.
    """
    start, size = Image.parse(data).certificates
    if not size:
        raise EfiError("the EFI binary is not signed")
    message = Message.of(image_digest(data))
    public = public_key(certificate)
    width = (public.key_size + 7) // 8
    blank = message.encode(certificate, bytes(width))
    found = data[start + CERTIFICATE.size : start + CERTIFICATE.size + len(blank)]
    expected = attach(strip_signatures(data), found)
    is_ours = found[:-width] == blank[:-width] and expected == data
    if not is_ours or not is_signature(public, found[-width:], message.signed):
        raise EfiError("the EFI binary was altered, or another key signed it")


@dataclass(frozen=True, slots=True)
class Message:
    """What is signed of an image with one digest."""

    inner: bytes
    attributes: list[bytes]

    @classmethod
    def of(cls, digest: bytes) -> "Message":
        """Return the message for an image's digest."""
        inner = PE_IMAGE_DATA + der.sequence(cms.SHA256, der.octets(digest))
        return cls(inner, cms.attributes_of(INDIRECT_DATA, inner))

    @property
    def signed(self) -> bytes:
        """Return the bytes to sign."""
        return der.set_of(self.attributes)

    def encode(self, certificate: x509.Certificate, signature: bytes) -> bytes:
        """Return the whole signature."""
        content = der.sequence(INDIRECT_DATA, der.context(0, der.sequence(self.inner)))
        data = cms.signed_data(content, certificate, self.attributes, signature)
        return der.sequence(cms.SIGNED_DATA, der.context(0, data))
