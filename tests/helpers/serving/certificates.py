"""Certificates of a private authority, as an operator may have one."""

import datetime
import ipaddress
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = datetime.timedelta(days=1)


class Authority(NamedTuple):
    """The files of a root and of a server's certificate that it signed."""

    root: Path
    certificate: Path
    key: Path


def make_authority(folder: Path, address: str, name: str = "Test root") -> Authority:
    """Write a root with an RSA key, and a certificate for an IP address with its root."""
    folder.mkdir()
    files = Authority(folder / "root.pem", folder / "server.pem", folder / "server.key")
    root_key, key = (generate_private_key(65537, 2048) for _ in range(2))
    root = sign(name, root_key, name, root_key, is_root=True)
    server = sign(address, key, name, root_key, address=address)
    files.root.write_bytes(root.public_bytes(Encoding.PEM))
    chain = [certificate.public_bytes(Encoding.PEM) for certificate in (server, root)]
    files.certificate.write_bytes(b"".join(chain))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def sign(
    subject: str,
    key: RSAPrivateKey,
    issuer: str,
    issuer_key: RSAPrivateKey,
    *,
    is_root: bool = False,
    address: str = "",
) -> x509.Certificate:
    """Return a certificate for `key`."""
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + 30 * DAY)
        .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
    )
    if address:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, SHA256())
