"""What is known of this boot's measurements: the release's signed policies, and the event log.

systemd's EFI stub hands the sections `.pcrsig` and `.pcrpkey` of a UKI to the initramfs as files;
`core.identity.prepare` copies them, with the firmware's event log, to where a daemon may read them.
A boot that is not that of a UKI with these sections has none.
"""

import base64
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from common.efi.errors import FormatError
from common.efi.eventlog import is_secure_boot_on, parse_log
from common.efi.keys import fingerprint
from common.files import open_regular
from core.identity.places import EVENT_LOG, MEASURED, PUBLIC_KEY, SIGNATURES

FILE_MAX_BYTES = 1 << 20
KERNEL = 11
ROWS_MAX = 32


@dataclass(frozen=True)
class SignedPolicy:
    """A policy of PCR 11, and the release key's signature of it."""

    policy: bytes
    signature: bytes


@dataclass(frozen=True)
class Measured:
    """The release's key in PEM, what it signed, and the event log; empty where there is none."""

    key: bytes = b""
    signer: bytes = bytes(32)  # SHA-256 of the key, as systemd names it
    policies: tuple[SignedPolicy, ...] = ()
    event_log: bytes = b""

    def find(self, policy: bytes) -> SignedPolicy | None:
        """Return the signature of a policy."""
        return next((row for row in self.policies if row.policy == policy), None)

    @property
    def is_secure_boot_on(self) -> bool:
        """Return whether Secure Boot was on."""
        with contextlib.suppress(FormatError):
            return is_secure_boot_on(parse_log(self.event_log))
        return False


def read_measured(folder: Path = MEASURED) -> Measured:
    """Return what the folder has."""
    key, log = read_some(folder / PUBLIC_KEY), read_some(folder / EVENT_LOG)
    with contextlib.suppress(ValueError, TypeError):
        public = load_pem_public_key(key)
        if isinstance(public, RSAPublicKey):
            name = fingerprint(public)
            rows = parse_signatures(read_some(folder / SIGNATURES), name)
            return Measured(key, bytes.fromhex(name), rows, log)
    return Measured(event_log=log)


def read_some(path: Path) -> bytes:
    """Return a file's content; nothing if it is not there, or too large."""
    with contextlib.suppress(OSError), open_regular(path) as stream:
        data = stream.read(FILE_MAX_BYTES + 1)
        return data if len(data) <= FILE_MAX_BYTES else b""
    return b""


def parse_signatures(data: bytes, signer: str) -> tuple[SignedPolicy, ...]:
    """Return the policies of PCR 11 that `signer` signed, from the JSON of systemd-measure."""
    try:
        rows = json.loads(data)["sha256"][:ROWS_MAX]
        return tuple(row for row in (parse_row(row, signer) for row in rows) if row)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()


def parse_row(row: dict[str, Any], signer: str) -> SignedPolicy | None:
    """Return one row; None if it is of other registers, or by another key."""
    if row["pcrs"] != [KERNEL] or row["pkfp"] != signer:
        return None
    return SignedPolicy(bytes.fromhex(row["pol"]), base64.b64decode(row["sig"], validate=True))
