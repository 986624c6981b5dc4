"""An operator's keys for images: the one that signs them, and a private root for HTTPS."""

from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap_server.errors import SettingsError
from common.files import read_regular

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from common.efi.keys import Signer


def read_image_key(path: Path | None) -> "Ed25519PrivateKey | None":
    """Return the Ed25519 key in a PEM file (`openssl genpkey -algorithm ed25519`)."""
    if path is None:
        return None
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read(path), None)
    except (ValueError, TypeError) as error:
        raise SettingsError(f"cannot use {path}: it is not a plain private key in PEM") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(
            f"cannot sign images with {path}: it is not an Ed25519 key",
            hint=f"openssl genpkey -algorithm ed25519 -out {path}",
        )
    return key


def read_secure_boot(key: Path | None, certificate: Path | None) -> "Signer | None":
    """Return who signs farms for Secure Boot, or None."""
    if key is None and certificate is None:
        return None
    if key is None or certificate is None:
        raise SettingsError("secure_boot_key and secure_boot_certificate go together")
    from common.efi.errors import EfiError
    from common.efi.sources import open_signer

    try:
        return open_signer(str(key), certificate)
    except EfiError as error:
        raise SettingsError(error.message, hint=error.hint) from error


def render_public(key: "Ed25519PrivateKey") -> bytes:
    """Return the public key in PEM."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_root(path: Path | None) -> bytes:
    """Return the SHA-256 of the root certificate in a PEM file; empty without a file.

    Raises `SettingsError` also for a certificate that iPXE can't check: it knows no keys but RSA.
    """
    if path is None:
        return b""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificates

    try:
        certificates = load_pem_x509_certificates(read(path))
    except ValueError as error:
        raise SettingsError(f"cannot use {path}: it has no certificate in PEM") from error
    if len(certificates) != 1 or certificates[0].issuer != certificates[0].subject:
        raise SettingsError(f"cannot trust {path}: it must hold one certificate, the root's own")
    if not isinstance(certificates[0].public_key(), RSAPublicKey):
        raise SettingsError(f"cannot trust {path}: iPXE needs a root with an RSA key")
    return certificates[0].fingerprint(SHA256())


def check_chain(chain: Path | None, root: bytes) -> None:
    """Raise `SettingsError` unless this server sends the root with its own certificate.

    An image knows the root by its fingerprint only. Without a chain, a proxy in front sends it.
    """
    if chain is None or not root:
        return
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificates

    try:
        certificates = load_pem_x509_certificates(read(chain))
    except ValueError as error:
        raise SettingsError(f"cannot use {chain}: it has no certificate in PEM") from error
    if root not in [certificate.fingerprint(SHA256()) for certificate in certificates]:
        raise SettingsError(
            f"cannot use {chain}: it does not end with the certificate of tls_root",
            hint="append the root to the chain: images know no more of it than its fingerprint",
        )


def read(path: Path) -> bytes:
    """Return the content of an operator's file."""
    try:
        return read_regular(path)
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
