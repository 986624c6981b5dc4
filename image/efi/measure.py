"""Measured boot: the TPM's registers (PCRs) that a UKI foretells, and signatures of them. Pure.

- PCR 11 is the stub's: the name and the content of each section, in the stub's order. The node's
  init extends it no further, so this is its value for as long as the node runs.
- PCR 4 is the firmware's: what it starts, which is the UKI, and without Secure Boot the kernel in
  it, too (with it, the stub answers for the kernel, and the firmware does not look at it). It is
  foretold for a boot option that is the UKI itself; a boot loader would add to it.

Others depend on the machine: firmware, its settings (0 to 3), and the Secure Boot keys (7).
"""

import base64
import functools
import hashlib
import json
import struct
from collections.abc import Mapping
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from common.efi.authenticode import image_digest
from common.efi.eventlog import ALGORITHM_SHA256, SEPARATOR, ZERO, extend
from common.efi.keys import Key, fingerprint
from image.efi.uki import MEASURED, read_sections

BOOT_APPLICATIONS = 4
KERNEL = 11
# TCG PC Client Platform Firmware Profile, 8.2.4: before a boot option, and between two phases.
CALLING = b"Calling EFI Application from Boot Option"

# TPM 2.0 Library, Part 2: TPM2_PolicyPCR of one SHA-256 register.
POLICY_PCR = 0x0000017F
SELECT_BYTES = 3


class Forecast(NamedTuple):
    """The SHA-256 registers to which a boot leads, by number, with and without Secure Boot."""

    secure_boot_on: dict[int, bytes]
    secure_boot_off: dict[int, bytes]


def foretell(uki: bytes) -> Forecast:
    """Return the registers to which a boot of `uki` leads. Raises `FormatError`."""
    sections = read_sections(uki)
    common = {KERNEL: foretell_sections(sections)}
    return Forecast(
        {BOOT_APPLICATIONS: foretell_applications(uki)} | common,
        {BOOT_APPLICATIONS: foretell_applications(uki, sections[".linux"])} | common,
    )


def foretell_sections(sections: Mapping[str, bytes]) -> bytes:
    """Return PCR 11: the stub extends the name of each section, with its NUL, and the content."""
    value = ZERO
    for name in MEASURED:
        if name in sections:
            value = extend(value, hashlib.sha256(name.encode() + b"\0").digest())
            value = extend(value, hashlib.sha256(sections[name]).digest())
    return value


def foretell_applications(*images: bytes) -> bytes:
    """Return PCR 4: a boot option is tried, the firmware's phase ends, the images are started."""
    digests = [hashlib.sha256(data).digest() for data in (CALLING, SEPARATOR)]
    return functools.reduce(extend, [*digests, *map(image_digest, images)], ZERO)


def sign_policy(sections: Mapping[str, bytes], key: Key) -> dict[str, bytes]:
    """Return `sections` with the public key, and the signature of the PCR 11 that it leads to.

    A secret that is sealed to the key, instead of to a PCR's value, opens on every release that
    the key signed. The form is that of systemd-measure.
    """
    known = {**sections, ".pcrpkey": encode_public(key.public)}
    policy = policy_digest(foretell_sections(known))
    row = {
        "pcrs": [KERNEL],
        "pkfp": fingerprint(key.public),
        "pol": policy.hex(),
        "sig": base64.b64encode(key.sign(policy)).decode(),
    }
    return {**known, ".pcrsig": json.dumps({"sha256": [row]}, separators=(",", ":")).encode()}


def policy_digest(value: bytes) -> bytes:
    """Return the TPM's digest of the policy that PCR 11 has this value."""
    selected = bytearray(SELECT_BYTES)
    selected[KERNEL // 8] |= 1 << KERNEL % 8
    selection = struct.pack(">IHB", 1, ALGORITHM_SHA256, SELECT_BYTES) + selected
    command = struct.pack(">I", POLICY_PCR)
    return hashlib.sha256(ZERO + command + selection + hashlib.sha256(value).digest()).digest()


def encode_public(key: RSAPublicKey) -> bytes:
    """Return a public key as PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
