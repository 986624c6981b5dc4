"""UEFI's variables of Secure Boot, as signed files (.auth) that a machine's firmware reads. Pure.

The UEFI specification has their form in 8.2 (authenticated variables) and 32.4 (signature lists).
PK, the platform's owner, signs KEK; KEK signs db, whose certificates sign what may be started.
"""

import datetime
import struct
import uuid
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from common.efi import cms, der
from common.efi.keys import Signer

GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
IMAGE_SECURITY = uuid.UUID("d719b2cb-3d3a-4596-a3bc-dad00e67656f")
VENDORS = {"PK": GLOBAL, "KEK": GLOBAL, "db": IMAGE_SECURITY}
X509 = uuid.UUID("a5c059a1-94e4-4aa7-87b5-ab155c2bf072")
PKCS7 = uuid.UUID("4aafd29d-68df-49ee-8aa9-347d375665a7")
# Kept without power, for boot and run time, replaced only by something signed and newer.
ATTRIBUTES = 0x27
REVISION, UEFI_GUID = 0x0200, 0x0EF1
CERTIFICATE_BYTES = 24  # length, revision, type, GUID


def owner_of(platform: x509.Certificate) -> uuid.UUID:
    """Return the owner's GUID of signature lists, which is that of the platform key."""
    return uuid.uuid5(uuid.NAMESPACE_OID, platform.public_bytes(Encoding.DER).hex())


def signature_list(certificates: Iterable[x509.Certificate], owner: uuid.UUID) -> bytes:
    """Return the lists of these certificates: one each, since their sizes differ."""
    rows = b""
    for certificate in certificates:
        entry = owner.bytes_le + certificate.public_bytes(Encoding.DER)
        rows += X509.bytes_le + struct.pack("<III", 28 + len(entry), 0, len(entry)) + entry
    return rows


def sign_variable(name: str, content: bytes, signer: Signer, when: datetime.datetime) -> bytes:
    """Return the content of PK, KEK or db with the signature that lets firmware set it.

    `when` is in UTC. Firmware refuses a time before that of the variable it replaces.
    """
    time = struct.pack("<HBBBBBxIhBx", *when.timetuple()[:6], 0, 0, 0)
    about = name.encode("utf-16-le") + VENDORS[name].bytes_le + struct.pack("<I", ATTRIBUTES)
    signature = signer.sign(about + time + content)
    data = cms.signed_data(der.sequence(cms.DATA), signer.certificate, [], signature)
    size = CERTIFICATE_BYTES + len(data)
    header = struct.pack("<IHH", size, REVISION, UEFI_GUID) + PKCS7.bytes_le
    return time + header + data + content
