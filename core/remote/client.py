"""Calls a node over TLS: the node proves that it has the key that its id is."""

import contextlib
import http.client
import json
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.x509.oid import NameOID

from common.errors import ZosError
from common.nodes.nodeid import parse_node_id
from common.text import printable
from core.certificates.anchor import make_anchor
from core.places import LOOK_S
from core.remote.errors import RemoteError
from core.remote.known import join_address

CONNECT_S = 10.0
ANSWER_S = 60.0
SLOW = ("/update", "/reboot")  # the node asks servers itself
SLOW_S = LOOK_S + ANSWER_S
CHUNK_BYTES = 1 << 16
JSON_MAX_BYTES = 16 << 20
LINE_MAX_BYTES = 1 << 20
EXPIRED, NOT_YET = 10, 9  # X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID
FAULTS = (OSError, http.client.HTTPException, ValueError)
UNWELCOME = (
    "it does not accept the certificate (its farm's key, farm.key=, is another one, or it has "
    "none), or it has too many callers"
)
FIX_CERTIFICATE = "zos node certificate makes one, with the farm's key"


@dataclass(frozen=True)
class Target:
    """A node: its id, and where it is."""

    node: str
    host: str
    port: int

    @property
    def address(self) -> str:
        """Return where it is."""
        return join_address(self.host, self.port)


class NodeClient:
    """Calls one node with the caller's certificate (a PEM file that has the key, too)."""

    def __init__(self, target: Target, certificate: Path) -> None:
        self.target = target
        self.certificate = certificate

    def get(self, path: str, **params: Any) -> Any:
        """Return what a call answers. Raises `RemoteError`."""
        with self.ask("GET", path + query_of(params)) as answer:
            return read_json(answer)

    def post(self, path: str, **params: Any) -> Any:
        """Make a call that changes something; return what it answers."""
        with self.ask("POST", path, params) as answer:
            return read_json(answer)

    def lines(self, path: str, **params: Any) -> Iterator[Any]:
        """Yield the lines of a stream."""
        with self.ask("GET", path + query_of(params)) as answer:
            while line := answer.readline(LINE_MAX_BYTES + 1):
                if not line.endswith(b"\n"):
                    raise RemoteError("the node's answer broke off")
                yield json.loads(line)

    def pieces(self, path: str) -> Iterator[bytes]:
        """Yield the pieces of a file."""
        with self.ask("GET", path) as answer:
            while piece := answer.read(CHUNK_BYTES):
                yield piece

    @contextlib.contextmanager
    def ask(
        self, method: str, path: str, params: dict[str, Any] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        """Yield the answer, if it is a good one."""
        target = self.target
        try:
            with connect(target, node_context(target, self.certificate)) as tls:
                tls.settimeout(SLOW_S if path in SLOW else ANSWER_S)
                connection = http.client.HTTPConnection(target.host, target.port)
                connection.sock = tls
                body = json.dumps(params).encode() if params else None
                headers = {"Content-Type": "application/json"} if body else {}
                connection.request(method, f"/api/v1{path}", body, headers)
                with connection.getresponse() as answer:
                    if answer.status != 200:
                        raise refusal(answer)
                    yield answer
        except FAULTS as error:
            raise explain(error, target) from error


def connect(target: Target, context: ssl.SSLContext) -> ssl.SSLSocket:
    """Return a connection after the handshake."""
    plain = socket.create_connection((target.host, target.port), CONNECT_S)
    try:
        tls = context.wrap_socket(plain)
    except BaseException:
        plain.close()
        raise
    tls.settimeout(ANSWER_S)
    return tls


def plain_context() -> ssl.SSLContext:
    """Return a context that trusts nobody and whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False  # the node's key is its name; addresses change
    return context


def proving_context(target: Target) -> ssl.SSLContext:
    """Return the context of a connection that only this node can answer."""
    context = plain_context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    anchor = make_anchor(target.node, parse_node_id(target.node))
    context.load_verify_locations(cadata=anchor)
    return context


def node_context(target: Target, certificate: Path) -> ssl.SSLContext:
    """Return the context of a caller's connection to this node."""
    context = proving_context(target)
    try:
        context.load_cert_chain(certificate)
    except FileNotFoundError as error:
        raise RemoteError(f"there is no certificate {certificate}", hint=FIX_CERTIFICATE) from error
    except ssl.SSLError as error:
        raise RemoteError(
            f"cannot use {certificate}: it is no certificate with its key", hint=FIX_CERTIFICATE
        ) from error
    return context


def learn_node(host: str, port: int) -> str:
    """Return the id of the node that answers at an address; nothing shows that it is the one."""
    context = plain_context()
    context.verify_mode = ssl.CERT_NONE
    target = Target("", host, port)
    try:
        with connect(target, context) as tls:
            data = tls.getpeercert(binary_form=True) or b""
        issuer = x509.load_der_x509_certificate(data).issuer
        node = str(issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        parse_node_id(node)
    except (ValueError, IndexError, ZosError) as error:
        raise RemoteError(f"what answers at {target.address} is no node of Zero-OS") from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise RemoteError(f"cannot call the node at {target.address}: {reason}") from error
    return node


def prove(target: Target) -> None:
    """Raise `RemoteError` unless the node itself answers at an address; nothing is asked."""
    try:
        with connect(target, proving_context(target)):
            pass
    except FAULTS as error:
        raise explain(error, target) from error


def explain(error: Exception, target: Target) -> RemoteError:
    """Return the error to show for a call that failed."""
    if isinstance(error, ssl.SSLError):
        return explain_tls(error, target)
    if isinstance(error, http.client.RemoteDisconnected | ConnectionResetError):
        return RemoteError(f"the node at {target.address} ended the connection", hint=UNWELCOME)
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return RemoteError(f"cannot call the node at {target.address}: {reason}")


def explain_tls(error: ssl.SSLError, target: Target) -> RemoteError:
    """Return the error to show for a handshake that failed."""
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in (EXPIRED, NOT_YET):
            return RemoteError(
                f"the certificate of the node at {target.address} is not valid now",
                hint="the clock of the node or that of this machine is wrong",
            )
        return RemoteError(
            f"what answers at {target.address} is not the node {target.node}",
            hint="if it was installed again, remove its line from nodes.json; else somebody "
            "answers in its place",
        )
    if error.reason and "ALERT" in error.reason:
        return RemoteError(f"the node at {target.address} ended the connection", hint=UNWELCOME)
    return RemoteError(f"cannot call the node at {target.address}: {error.reason or error}")


def query_of(params: dict[str, Any]) -> str:
    """Return parameters as a query."""
    texts = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in params.items()
        if value is not None
    }
    return f"?{urlencode(texts)}" if texts else ""


def read_json(answer: http.client.HTTPResponse) -> Any:
    """Return an answer's value."""
    data = answer.read(JSON_MAX_BYTES + 1)
    if len(data) > JSON_MAX_BYTES:
        raise RemoteError("the node's answer is too long")
    return json.loads(data)


def refusal(answer: http.client.HTTPResponse) -> RemoteError:
    """Return the error that an answer is."""
    try:
        said = json.loads(answer.read(1 << 16))
    except ValueError:
        said = None
    fields = said if isinstance(said, dict) else {}
    detail, hint = fields.get("detail"), fields.get("hint")
    return RemoteError(
        f"the node refuses ({answer.status}): {printable(str(detail or answer.reason))}",
        hint=printable(str(hint)) if hint else None,
    )
