"""TLS from a certificate and a key in files."""

import ssl
from asyncio import sslproto
from pathlib import Path

from common.errors import UsageError

BUFFER_BYTES = 1 << 15
"""What asyncio allocates to read a TLS connection; its own 256 KiB would be most of the memory."""


class EncryptedKeyError(Exception):
    """The key file needs a password."""


def make_context(cert: Path, key: Path) -> ssl.SSLContext:
    """Return a server's TLS context. Raises `UsageError` that says which file cannot be used."""
    sslproto.SSLProtocol.max_size = BUFFER_BYTES
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_files(context, cert, key)
    return context


def load_files(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Read the files into `context`; new connections use them."""
    for path in (cert, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot use TLS file {path}: {error.strerror}") from error
    try:
        context.load_cert_chain(cert, key, refuse_password)
    except EncryptedKeyError as error:
        raise UsageError(
            f"cannot use TLS key {key}: it is encrypted",
            hint="openssl pkey -in KEY -out PLAIN-KEY",
        ) from error
    except ssl.SSLError as error:
        reason = (error.reason or "not PEM").lower().replace("_", " ")
        raise UsageError(
            f"cannot use TLS certificate {cert} with key {key}: {reason}",
            hint="both must be PEM files, and the key must be the certificate's",
        ) from error


def refuse_password() -> bytes:
    """Refuse an encrypted key: nobody is there to type its password."""
    raise EncryptedKeyError
