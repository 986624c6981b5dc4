"""zos.efi: the UKI of a release, signed for Secure Boot and measured boot if there are keys."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from common.efi.authenticode import sign_image, strip_signatures
from common.efi.keys import Key, Signer, fingerprint
from image.efi.measure import foretell, sign_policy
from image.efi.uki import build_uki, extend_sbat, read_sections, replace_sections

NAME = "zos.efi"


@dataclass(frozen=True, slots=True)
class Signing:
    """Who signs a UKI: for Secure Boot, and the foretold PCR 11 (`.pcrsig`)."""

    secure_boot: Signer | None = None
    registers: Key | None = None

    def fingerprints(self) -> dict[str, str | None]:
        """Return the SHA-256 of the certificate and of the public key, as the manifest has them."""
        found: dict[str, str | None] = {"secure_boot": None, "pcrs": None}
        if self.secure_boot:
            certificate = self.secure_boot.certificate.public_bytes(Encoding.DER)
            found["secure_boot"] = hashlib.sha256(certificate).hexdigest()
        if self.registers:
            found["pcrs"] = fingerprint(self.registers.public)
        return found


UNSIGNED = Signing()


@dataclass(frozen=True, slots=True)
class Contents:
    """What a UKI is made of; `stub` is systemd's."""

    stub: bytes
    vmlinuz: bytes
    initramfs: bytes
    kernel: str
    version: str
    os_release: str


def make_uki(contents: Contents, parameters: Iterable[str], signing: Signing) -> bytes:
    """Return the UKI of a release, signed as far as `signing` has keys."""
    sections = {
        ".linux": contents.vmlinuz,
        ".initrd": contents.initramfs,
        ".osrel": contents.os_release.encode(),
        ".cmdline": " ".join(parameters).encode(),
        ".uname": contents.kernel.encode(),
        ".sbat": extend_sbat(contents.stub, contents.version),
    }
    if signing.registers:
        sections = sign_policy(sections, signing.registers)
    return sign(build_uki(contents.stub, sections), signing)


def strip(uki: bytes) -> bytes:
    """Return `uki` as anybody builds it, who has no key: without all that `Signing` adds."""
    return replace_sections(strip_signatures(uki), {".pcrpkey": b""})


def personalise(uki: bytes, parameters: Iterable[str], signing: Signing) -> bytes:
    """Return `uki` with more kernel parameters, signed anew: its signatures are removed."""
    line = b" ".join([read_sections(uki).get(".cmdline", b""), *map(str.encode, parameters)])
    bare = replace_sections(strip(uki), {".cmdline": line})
    if signing.registers:
        bare = replace_sections(bare, sign_policy(read_sections(bare), signing.registers))
    return sign(bare, signing)


def sign(uki: bytes, signing: Signing) -> bytes:
    """Return `uki`, signed for Secure Boot if there is a key."""
    return sign_image(uki, signing.secure_boot) if signing.secure_boot else uki


def describe_uki(uki: bytes, signing: Signing) -> dict[str, Any]:
    """Return what a manifest says of a UKI: who signed it, and the registers it leads to."""
    registers = {
        when: {str(number): value.hex() for number, value in values.items()}
        for when, values in foretell(uki)._asdict().items()
    }
    return {"signed_by": signing.fingerprints(), "pcrs": registers}
