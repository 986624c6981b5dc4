"""Checks a caller's certificate: signed by the farm's key, valid now, for a caller, of this farm.

OpenSSL has checked the signature in the handshake, but not the time, so that a caller can be told
which clock a certificate is out of date by. This checks all of it.
"""

import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID

from core.certificates.names import CertificateError, Holder, parse_uri

CLOCK_HINT = "is the clock of the node right, and is it the certificate of today?"


def check_certificate(data: bytes, farm: int, public: bytes, now: datetime.datetime) -> Holder:
    """Return who the certificate in DER is for. Raises `CertificateError`."""
    try:
        certificate = x509.load_der_x509_certificate(data)
        check_signature(certificate, public)
        check_period(certificate, now)
        check_use(certificate)
        holder = holder_of(certificate)
    except (ValueError, x509.DuplicateExtension) as error:
        raise CertificateError("the certificate is malformed") from error
    if holder.farm != farm:
        raise CertificateError(
            f"the certificate is for farm {holder.farm}, and this node is of farm {farm}"
        )
    return holder


def check_signature(certificate: x509.Certificate, public: bytes) -> None:
    """Raise `CertificateError` unless the farm's key has signed it."""
    key = Ed25519PublicKey.from_public_bytes(public)
    try:
        key.verify(certificate.signature, certificate.tbs_certificate_bytes)
    except InvalidSignature:
        raise CertificateError("the certificate is not by the key of this node's farm") from None


def check_period(certificate: x509.Certificate, now: datetime.datetime) -> None:
    """Raise `CertificateError` unless it is valid by this clock."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    clock = f"the node's clock says {now:%Y-%m-%d %H:%M} UTC"
    if now < begins:
        raise CertificateError(
            f"the certificate is valid from {begins:%Y-%m-%d %H:%M} UTC on, and {clock}",
            hint=CLOCK_HINT,
        )
    if now > ends:
        raise CertificateError(
            f"the certificate was valid until {ends:%Y-%m-%d %H:%M} UTC, and {clock}",
            hint=CLOCK_HINT,
        )


def check_use(certificate: x509.Certificate) -> None:
    """Raise `CertificateError` unless it is a caller's."""
    try:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except x509.ExtensionNotFound as error:
        raise CertificateError("the certificate does not say what it is for") from error
    if constraints.value.ca or ExtendedKeyUsageOID.CLIENT_AUTH not in usage.value:
        raise CertificateError("the certificate is not for a client (extended key usage)")


def holder_of(certificate: x509.Certificate) -> Holder:
    """Return whom the one URI of the certificate names."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise CertificateError("the certificate names no role at a farm") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise CertificateError("the certificate names no role at a farm")
    return parse_uri(uris[0])
