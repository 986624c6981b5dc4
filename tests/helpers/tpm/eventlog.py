"""TPM event logs of boots that did not happen."""

import hashlib
import struct

from common.efi.authenticode import image_digest
from common.efi.eventlog import SECURE_BOOT_IS, SEPARATOR
from image.efi.measure import CALLING
from image.efi.uki import MEASURED

SHA1, SHA256 = 4, 11
HEADER = struct.pack(
    "<16sIBBBBIHHHHB", b"Spec ID Event03\0", 0, 0, 2, 0, 2, 2, SHA1, 20, SHA256, 32, 0
)


def encode_event(pcr: int, kind: int, digest: bytes, data: bytes = b"") -> bytes:
    """Return one event with digests of both kinds."""
    digests = struct.pack("<H20sH", SHA1, b"", SHA256) + digest
    return struct.pack("<III", pcr, kind, 2) + digests + struct.pack("<I", len(data)) + data


def encode_log(*events: bytes) -> bytes:
    """Return a log with these events."""
    return struct.pack("<II20sI", 0, 3, b"", len(HEADER)) + HEADER + b"".join(events)


def hashed(pcr: int, kind: int, data: bytes) -> bytes:
    """Return an event whose digest is that of its data."""
    return encode_event(pcr, kind, hashlib.sha256(data).digest(), data)


def boot_of(uki: bytes, sections: dict[str, bytes], *, secure: bool, locality: int = 3) -> bytes:
    """Return the log of a boot of a UKI, by a firmware that starts the TPM from `locality`."""
    events = [encode_event(0, 3, bytes(32), b"StartupLocality\0" + bytes([locality]))]
    events.append(hashed(7, 0x80000001, SECURE_BOOT_IS + bytes([secure])))
    events.append(hashed(7, 4, SEPARATOR))
    events += [hashed(4, 0x80000007, CALLING), hashed(4, 4, SEPARATOR)]
    images = [uki] if secure else [uki, sections[".linux"]]
    events += [encode_event(4, 0x80000003, image_digest(image), b"path") for image in images]
    for name in MEASURED:
        if name in sections:
            events.append(hashed(11, 13, name.encode() + b"\0"))
            events.append(encode_event(11, 13, hashlib.sha256(sections[name]).digest()))
    return encode_log(*events)
