"""Makes the certificates of callers, with the farm's private key."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from core.certificates.anchor import FARM, common_name
from core.certificates.names import CertificateError, Holder

DAYS, DAYS_MAX = 30, 397
CLOCK_MAY_LAG = datetime.timedelta(hours=1)


def issue(
    farm_key: Ed25519PrivateKey, holder: Holder, days: int, now: datetime.datetime
) -> tuple[str, str]:
    """Return a new private key and its certificate for `holder`, both in PEM."""
    if not 1 <= days <= DAYS_MAX:
        raise CertificateError(f"a certificate is good for 1 to {DAYS_MAX} days")
    key = Ed25519PrivateKey.generate()
    period = (now - CLOCK_MAY_LAG, now + datetime.timedelta(days=days))
    builder = begin(farm_key, key, holder.name, period).add_extension(
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(holder.uri)]), critical=False
    )
    builder = builder.add_extension(
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True
    )
    certificate = builder.sign(farm_key, None).public_bytes(Encoding.PEM).decode()
    form = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return key.private_bytes(*form).decode(), certificate


def begin(
    farm_key: Ed25519PrivateKey,
    key: Ed25519PrivateKey,
    subject: str,
    period: tuple[datetime.datetime, datetime.datetime],
) -> x509.CertificateBuilder:
    """Return a certificate of the farm that does not say yet what it is for."""
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(farm_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(common_name(subject))
        .issuer_name(common_name(FARM))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(period[0])
        .not_valid_after(period[1])
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(authority, critical=False)
    )
