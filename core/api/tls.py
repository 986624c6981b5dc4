"""TLS of the API: 1.3 only, with a certificate by the node's key, for callers of the farm."""

import ssl
import tempfile
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from core.api.node import Node
from core.certificates.anchor import FARM, make_anchor

NO_CHECK_TIME = 0x200000  # X509_V_FLAG_NO_CHECK_TIME: `check_certificate` does, and says why
RENEW_S = 7 * 86400.0  # the node's certificates are good for 30 days


def make_context(node: Node, folder: Path, farm_key: bytes | None) -> ssl.SSLContext:
    """Return the context of new connections. Raises `IpcError` without the identity daemon.

    Without the farm's key nobody gets through the handshake. `folder` is where the leaf's private
    key is for a moment: OpenSSL reads it from a file.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # each connection shows its certificate
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VerifyFlags(NO_CHECK_TIME)
    context.set_alpn_protocols(["http/1.1"])
    if farm_key:
        context.load_verify_locations(cadata=make_anchor(FARM, farm_key))
    load_leaf(context, node, folder)
    return context


def load_leaf(context: ssl.SSLContext, node: Node, folder: Path) -> None:
    """Give the context a new key and the node's certificate for it."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    name = str(node.identity("describe")["node"])
    leaf = str(node.identity("certificate", public=public.decode(), names=[name]))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with tempfile.NamedTemporaryFile(dir=folder) as stream:  # mode 0600, in RAM
        stream.write(private + leaf.encode() + str(node.identity("authority")).encode())
        stream.flush()
        context.load_cert_chain(stream.name)
