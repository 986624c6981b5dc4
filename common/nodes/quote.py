"""A TPM's quote: its signed word on how a node booted, with the event log that explains it. Pure.

A quote is an object in JSON; all values are base64:

- `ak`: the attestation key, a `TPMT_PUBLIC`. It is a restricted ECDSA key (P-256, SHA-256) of the
  endorsement hierarchy, made from `AK_HEAD`, so the same TPM always makes the same one.
- `attest`: the `TPMS_ATTEST` of `REGISTERS`; `signature`: that of `ak` over it, in DER.
- `event_log`: the firmware's event log, compressed by zlib.
- `ek`: the certificate of the TPM's endorsement key in DER, if it has one.

What `verify` has verified is that the holder of `ak` vouches for these registers now. That `ak` is
in a TPM is its word only: a registry pins the first one that a node shows. The structures are those
of TPM 2.0 Library, Part 2.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from common.efi.errors import FormatError
from common.efi.eventlog import ZERO, Event, is_secure_boot_on, parse_log, replay
from common.errors import ZosError
from common.nodes.envelope import EnvelopeError, decode

REGISTERS = (0, 1, 2, 3, 4, 5, 6, 7, 11)
CONTEXT = b"Zero-OS quote\0"
FIELDS = frozenset({"ak", "attest", "signature", "event_log"})
FIELD_MAX_BYTES = 96 << 10
LOG_MAX_BYTES = 1 << 20
EVENTS_MAX = 10_000

AK_ATTRIBUTES = 0x0005_0472
"""fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign"""
# ECC, names by SHA-256, attributes, no policy; no symmetric cipher, ECDSA with SHA-256, P-256,
# no key derivation. The coordinates of the point follow.
AK_HEAD = struct.pack(">HHIHHHHHH", 0x23, 0x0B, AK_ATTRIBUTES, 0, 0x10, 0x18, 0x0B, 3, 0x10)
COORDINATE_BYTES = 32
MAGIC, IS_QUOTE = 0xFF54_4347, 0x8018
ENDORSEMENT = 0x4000_000B
SHA256_NAME = struct.pack(">H", 0x0B)


class QuoteError(ZosError):
    """A quote that is malformed, of something else, or forged."""

    http_status = 422


@dataclass(frozen=True)
class Quoted:
    """What a good quote says; `ak` is the attestation key's name (SHA-256), to be pinned."""

    ak: str
    registers: Mapping[int, bytes]
    secure_boot: bool
    resets: int  # of the TPM, since it was cleared
    events: tuple[Event, ...]
    endorsement: x509.Certificate | None


def qualifying_data(node: str, nonce: str) -> bytes:
    """Return what a quote has to contain, so that it is of this node and of now."""
    return hashlib.sha256(CONTEXT + node.encode() + b"\0" + nonce.encode()).digest()


def verify(quote: Mapping[str, Any], node: str, nonce: str) -> Quoted:
    """Return what the quote says. Raises `QuoteError` if any of it is not as it has to be."""
    fields = decode_fields(quote)
    public, attest = fields["ak"], fields["attest"]
    key = parse_key(public)
    try:
        key.verify(fields["signature"], attest, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise QuoteError("cannot use the quote: its signature is wrong") from None
    said = parse_attest(attest)
    if said.signer != qualified_name(public):
        raise QuoteError("cannot use the quote: the key is none of the endorsement hierarchy")
    if said.extra != qualifying_data(node, nonce):
        raise QuoteError("cannot use the quote: it is of another node, or an older one")
    events = parse_events(fields["event_log"])
    values = replay(events)
    registers = {number: values.get(number, ZERO) for number in REGISTERS}
    if hashlib.sha256(b"".join(registers.values())).digest() != said.digest:
        raise QuoteError("cannot use the quote: the event log leads to other registers")
    name, certificate = hashlib.sha256(public).hexdigest(), parse_certificate(fields.get("ek"))
    secure_boot = is_secure_boot_on(events)
    return Quoted(name, registers, secure_boot, said.resets, tuple(events), certificate)


def decode_fields(quote: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the fields' bytes."""
    if not isinstance(quote, Mapping) or not FIELDS <= set(quote) <= FIELDS | {"ek"}:
        raise QuoteError(f"cannot use the quote: it has {', '.join(sorted(FIELDS))}, and maybe ek")
    if any(len(str(value)) > FIELD_MAX_BYTES for value in quote.values()):
        raise QuoteError("cannot use the quote: it is too large")
    try:
        return {name: decode(quote, name) for name in quote}
    except EnvelopeError as error:
        raise QuoteError(error.message.replace("read the message", "use the quote")) from None


class Reader:
    """Reads the numbers and the sized bytes of a TPM's structure."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def numbers(self, form: str) -> tuple[int, ...]:
        """Return the numbers of a format of `struct`, without its byte order."""
        return struct.unpack(f">{form}", self.take(struct.calcsize(f">{form}")))

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise QuoteError("cannot use the quote: a part of it is cut off")
        self._at += size
        return taken

    def sized(self) -> bytes:
        """Return the bytes of a `TPM2B_`."""
        return self.take(*self.numbers("H"))

    def end(self) -> None:
        """Raise `QuoteError` unless all was read."""
        if self._at != len(self._data):
            raise QuoteError("cannot use the quote: a part of it has too many bytes")


def parse_key(public: bytes) -> ec.EllipticCurvePublicKey:
    """Return the attestation key of a `TPMT_PUBLIC`."""
    if not public.startswith(AK_HEAD):
        raise QuoteError("cannot use the quote: its key is no attestation key as it has to be")
    reader = Reader(public.removeprefix(AK_HEAD))
    x, y = reader.sized(), reader.sized()
    reader.end()
    try:
        if max(len(x), len(y)) > COORDINATE_BYTES:
            raise ValueError
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(x), int.from_bytes(y), ec.SECP256R1()
        )
        return numbers.public_key()
    except ValueError:
        raise QuoteError("cannot use the quote: its key is not on the curve") from None


def qualified_name(public: bytes) -> bytes:
    """Return the name by which a TPM calls a primary key of the endorsement hierarchy."""
    name = SHA256_NAME + hashlib.sha256(public).digest()
    return SHA256_NAME + hashlib.sha256(struct.pack(">I", ENDORSEMENT) + name).digest()


@dataclass(frozen=True)
class Attest:
    """What the TPM signed: who signs, what the asker gave, the registers' digest."""

    signer: bytes
    extra: bytes
    resets: int
    digest: bytes


def parse_attest(data: bytes) -> Attest:
    """Return a `TPMS_ATTEST` of a quote of `REGISTERS`."""
    reader = Reader(data)
    if reader.numbers("IH") != (MAGIC, IS_QUOTE):
        raise QuoteError("cannot use the quote: what is signed is none")
    signer, extra = reader.sized(), reader.sized()
    _clock, resets, _restarts, _safe, _firmware = reader.numbers("QIIBQ")
    if reader.take(len(SELECTION)) != SELECTION:
        raise QuoteError("cannot use the quote: it is of other registers")
    digest = reader.sized()
    reader.end()
    return Attest(signer, extra, resets, digest)


def select(numbers: tuple[int, ...]) -> bytes:
    """Return the `TPML_PCR_SELECTION` of SHA-256 registers."""
    bits = sum(1 << number for number in numbers)
    return struct.pack(">IHB", 1, 0x0B, 3) + bits.to_bytes(3, "little")


SELECTION = select(REGISTERS)


def parse_events(data: bytes) -> list[Event]:
    """Return the events of a compressed log."""
    try:
        inflate = zlib.decompressobj()
        log = inflate.decompress(data, LOG_MAX_BYTES)
        if not inflate.eof or inflate.unused_data:
            raise QuoteError("cannot use the quote: its event log is cut off, or too large")
        events = parse_log(log)
    except (zlib.error, FormatError) as error:
        raise QuoteError(f"cannot use the quote: {error}") from None
    if len(events) > EVENTS_MAX:
        raise QuoteError("cannot use the quote: its event log has too many events")
    return events


def parse_certificate(data: bytes | None) -> x509.Certificate | None:
    """Return a certificate in DER."""
    try:
        return x509.load_der_x509_certificate(data) if data is not None else None
    except ValueError:
        raise QuoteError("cannot use the quote: ek is no certificate") from None
