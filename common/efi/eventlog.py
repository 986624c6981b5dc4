"""The TPM's event log: what was measured, and the registers to which it leads. Pure.

Linux shows the firmware's log as binary_bios_measurements. The format is TCG's "PC Client Platform
Firmware Profile", chapter 10. A log proves nothing until the registers it leads to are those of
the TPM.
"""

import hashlib
import struct
import uuid
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from common.efi.errors import FormatError

ALGORITHM_SHA256 = 0x000B
ZERO = bytes(32)
NO_ACTION = 3
VARIABLE = 0x8000_0001
POLICY = 7
SECURE_BOOT = "SecureBoot".encode("utf-16-le")
# UEFI_VARIABLE_DATA of SecureBoot, without the value: vendor, lengths of the name and of the value.
VENDOR = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
SECURE_BOOT_IS = VENDOR.bytes_le + struct.pack("<QQ", len(SECURE_BOOT) // 2, 1) + SECURE_BOOT
SEPARATOR = bytes(
    4
)  # the firmware measures it into each of its registers before it starts a loader
SPEC_ID = b"Spec ID Event03\0"
LOCALITY = b"StartupLocality\0"
DIGESTS_MAX = 16
KINDS = {
    0x01: "POST code",
    NO_ACTION: "no action",
    0x04: "separator",
    0x05: "action",
    0x0D: "IPL",
    VARIABLE: "variable",
    0x8000_0002: "boot variable",
    0x8000_0003: "application",
    0x8000_0004: "boot driver",
    0x8000_0006: "partition table",
    0x8000_0007: "EFI action",
    0x8000_00E0: "authority",
}


class Event(NamedTuple):
    """One measurement: a PCR was extended with `digest`; what it says of it is not measured."""

    pcr: int
    kind: int
    digest: bytes
    data: bytes

    @property
    def text(self) -> str:
        """Return the kind of the event, and what of its data can be printed."""
        kind = KINDS.get(self.kind, f"{self.kind:#x}")
        wide = len(self.data) > 1 and self.data[1::2].count(0) > len(self.data) // 4
        said = self.data.decode("utf-16-le" if wide else "latin-1", errors="replace")
        words = "".join(c for c in said.rstrip("\0") if c.isascii() and c.isprintable())
        return f"{kind}: {words[:60]}" if words else kind


class Reader:
    """Reads numbers and bytes from a log. Raises `FormatError` at its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_at_end(self) -> bool:
        """Return whether everything was read."""
        return self._at >= len(self._data)

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        taken = self._data[self._at : self._at + size]
        if len(taken) != size:
            raise FormatError("cannot read the event log: it is cut off")
        self._at += size
        return taken

    def number(self, width: int) -> int:
        """Return the next little-endian number."""
        return int.from_bytes(self.take(width), "little")


def parse_log(data: bytes) -> list[Event]:
    """Return the events with SHA-256 digests. Raises `FormatError` for another kind of log."""
    reader = Reader(data)
    sizes = read_header(reader)
    if sizes.get(ALGORITHM_SHA256) != len(ZERO):
        raise FormatError("the event log has no SHA-256 digests")
    return list(read_events(reader, sizes))


def read_header(reader: Reader) -> Mapping[int, int]:
    """Read the first event, which has the old form; return the sizes of the digests."""
    reader.take(8 + 20)  # PCR, kind, and a SHA-1 digest of zeros
    about = Reader(reader.take(reader.number(4)))
    if about.take(len(SPEC_ID)) != SPEC_ID:
        raise FormatError("not an event log of a TPM 2.0")
    about.take(8)  # platform class, version, size of a pointer
    count = about.number(4)
    if count > DIGESTS_MAX:
        raise FormatError("cannot read the event log: its header is damaged")
    return {about.number(2): about.number(2) for _ in range(count)}


def read_events(reader: Reader, sizes: Mapping[int, int]) -> Iterator[Event]:
    """Yield the events after the header."""
    while not reader.is_at_end:
        pcr, kind, count = (reader.number(4) for _ in range(3))
        if count > DIGESTS_MAX:
            raise FormatError("cannot read the event log: an event is damaged")
        digests = {}
        for _ in range(count):
            algorithm = reader.number(2)
            if algorithm not in sizes:
                raise FormatError("cannot read the event log: unknown kind of digest")
            digests[algorithm] = reader.take(sizes[algorithm])
        data = reader.take(reader.number(4))
        if ALGORITHM_SHA256 not in digests:
            raise FormatError("cannot read the event log: an event has no SHA-256 digest")
        yield Event(pcr, kind, digests[ALGORITHM_SHA256], data)


def is_secure_boot_on(events: list[Event]) -> bool:
    """Return whether the firmware measured Secure Boot as on.

    Only what comes before the separator counts: programs that run later can extend the register
    as they like. A kind is not measured, but a digest is, so the separator can't be hidden.
    """
    said: set[bytes] = set()
    for event in (event for event in events if event.pcr == POLICY and event.kind != NO_ACTION):
        if event.digest == hashlib.sha256(SEPARATOR).digest():
            return said == {b"\1"}
        is_true = hashlib.sha256(event.data).digest() == event.digest
        if event.kind == VARIABLE and is_true and event.data.startswith(SECURE_BOOT_IS):
            said.add(event.data.removeprefix(SECURE_BOOT_IS))
    return False


def extend(value: bytes, digest: bytes) -> bytes:
    """Return a register after a digest was extended into it."""
    return hashlib.sha256(value + digest).digest()


def replay(events: list[Event]) -> dict[int, bytes]:
    """Return the registers to which the events lead; PCR 0 begins with the startup locality."""
    values: dict[int, bytes] = {}
    for event in events:
        if event.kind != NO_ACTION:
            values[event.pcr] = extend(values.get(event.pcr, ZERO), event.digest)
        elif event.data.startswith(LOCALITY) and event.pcr == 0:
            values[0] = ZERO[:-1] + event.data[len(LOCALITY) :][:1]
    return values
