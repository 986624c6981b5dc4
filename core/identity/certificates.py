"""X.509 certificates by the node's key: its own as an authority, and those of its API's keys."""

import datetime
import ipaddress
import re
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from core.identity.model import Identity, IdentityError

UTC = datetime.UTC
# The authority's certificate is the same at each boot, also when the clock is wrong.
BEGINS, ENDS = (
    datetime.datetime(2020, 1, 1, tzinfo=UTC),
    datetime.datetime(9999, 12, 31, tzinfo=UTC),
)
AUTHORITY_SERIAL = 1
LEAF_DAYS = 30
CLOCK_MAY_LAG = datetime.timedelta(days=1)
NAMES_MAX = 32
PEM_MAX_CHARS = 4096

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")


def make_authority(identity: Identity) -> str:
    """Return the node's certificate as an authority in PEM; its subject is the node's id."""
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    public = identity.key.public_key()
    builder = (
        begin(identity, public, identity.node, (BEGINS, ENDS))
        .serial_number(AUTHORITY_SERIAL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    return encode(builder.sign(identity.key, None))


def make_leaf(identity: Identity, public_pem: str, names: Sequence[str]) -> str:
    """Return a certificate for a server's key, under `names` (hosts, addresses), in PEM.

    The key is Ed25519 or ECDSA. Raises `IdentityError`.
    """
    public = parse_public(public_pem)
    if not isinstance(names, list) or not 0 < len(names) <= NAMES_MAX:
        raise IdentityError(f"cannot make the certificate: it needs 1 to {NAMES_MAX} names")
    now = datetime.datetime.now(UTC)
    period = (now - CLOCK_MAY_LAG, now + datetime.timedelta(days=LEAF_DAYS))
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(identity.key.public_key())
    alternatives = x509.SubjectAlternativeName([parse_name(name) for name in names])
    builder = (
        begin(identity, public, f"{identity.node} API", period)
        .serial_number(x509.random_serial_number())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(authority, critical=False)
    )
    return encode(builder.sign(identity.key, None))


LeafKey = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey


def begin(
    identity: Identity,
    public: LeafKey,
    subject: str,
    period: tuple[datetime.datetime, datetime.datetime],
) -> x509.CertificateBuilder:
    """Return a certificate of the node's key to which extensions are added."""
    return (
        x509.CertificateBuilder()
        .subject_name(common_name(subject))
        .issuer_name(common_name(identity.node))
        .public_key(public)
        .not_valid_before(period[0])
        .not_valid_after(period[1])
    )


def common_name(text: str) -> x509.Name:
    """Return a name that is a common name only."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def encode(certificate: x509.Certificate) -> str:
    """Return a certificate in PEM."""
    return certificate.public_bytes(Encoding.PEM).decode()


def parse_public(pem: str) -> LeafKey:
    """Return the public key in PEM that a certificate is for."""
    try:
        if not isinstance(pem, str) or len(pem) > PEM_MAX_CHARS:
            raise ValueError
        key = load_pem_public_key(pem.encode())
        if not isinstance(key, LeafKey):
            raise ValueError
    except ValueError:
        raise IdentityError("cannot make the certificate: no Ed25519 or ECDSA key in PEM") from None
    return key


def parse_name(text: str) -> x509.GeneralName:
    """Return an address or a host's name."""
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        if not isinstance(text, str) or not _HOST.fullmatch(text):
            raise IdentityError(f"cannot make the certificate: {text!r} is no name") from None
        return x509.DNSName(text)
