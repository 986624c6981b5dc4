"""What tells one machine from another: MAC address, SMBIOS UUID, serial number.

Each has one canonical form, whatever form it is written in. Values that firmware has where nobody
wrote one in stand on many machines, so they are none.
"""

import hashlib
import re
from dataclasses import dataclass

from bootstrap_server.errors import InputError

SERIAL_MAX_CHARS = 64
LABEL_CHARS = 12

_MAC = re.compile(
    r"([0-9a-f]{2})([:-]?)([0-9a-f]{2})(?:\2[0-9a-f]{2}){4}|([0-9a-f]{4}\.){2}[0-9a-f]{4}"
)
_UUID = re.compile(r"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")
_SERIAL = re.compile(r"[A-Z0-9][!-~]*( [!-~]+)*")  # never a formula in a spreadsheet

FILLED_IN_BY_NOBODY = frozenset(
    (
        *("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        *("03000200-0400-0500-0006-000700080009", "12345678-1234-5678-90ab-cddeefaabbcc"),
        *("0", "00000000", "0123456789", "123456789", "DEFAULT STRING", "N/A", "NA", "NONE"),
        *("NOT APPLICABLE", "NOT SPECIFIED", "SYSTEM SERIAL NUMBER", "TO BE FILLED BY O.E.M."),
        *("UNKNOWN", "INVALID", "EMPTY", "XXXXXXXX"),
    )
)


@dataclass(frozen=True, slots=True)
class Identity:
    """The canonical names of one machine; each may be empty, but not all."""

    mac: str = ""
    uuid: str = ""
    serial: str = ""

    @property
    def key(self) -> str:
        """Return what stands for the machine in the boot log: its UUID, else its MAC address."""
        return f"uuid:{self.uuid}" if self.uuid else f"mac:{self.mac}"

    @property
    def names(self) -> dict[str, str]:
        """Return the names that are not empty, by kind."""
        every = {"mac": self.mac, "uuid": self.uuid, "serial": self.serial}
        return {kind: name for kind, name in every.items() if name}

    def __str__(self) -> str:
        """Return the names as people read them."""
        return ", ".join(f"{kind} {name}" for kind, name in self.names.items())


def parse_identity(mac: str = "", uuid: str = "", serial: str = "") -> Identity:
    """Return the identity of a machine from texts that may be empty. Raises `InputError`."""
    return Identity(
        parse_mac(mac) if mac else "",
        parse_uuid(uuid) if uuid else "",
        parse_serial(serial) if serial.strip(" ") else "",
    )


def parse_name(text: str) -> Identity:
    """Return the identity that one name gives: a MAC, a UUID, or serial:NUMBER."""
    if text[:7].lower() == "serial:":
        found = Identity(serial=parse_serial(text[7:]))
    elif _MAC.fullmatch(text.lower()):
        found = Identity(mac=parse_mac(text))
    elif _UUID.fullmatch(text.lower()):
        found = Identity(uuid=parse_uuid(text))
    else:
        raise InputError("id", "a node's name is its MAC address, its UUID, or serial:NUMBER")
    if not found.names:
        raise InputError("id", f"many machines have the name {text}")
    return found


def parse_mac(text: str) -> str:
    """Return a MAC address as aa:bb:cc:dd:ee:ff. Raises `InputError`."""
    low = text.lower()
    if not _MAC.fullmatch(low):
        raise InputError("mac", "a MAC address is like 52:54:00:12:34:56")
    digits = re.sub("[:.-]", "", low)
    if digits.strip("0") == "" or int(digits[:2], 16) & 1:
        raise InputError("mac", f"{text} is not the MAC address of a card")
    return ":".join(re.findall("..", digits))


def parse_uuid(text: str) -> str:
    """Return a UUID with hyphens in lower case; empty for one that many machines have."""
    low = text.lower()
    if not _UUID.fullmatch(low):
        raise InputError("uuid", "a UUID is like 4c4c4544-0042-3510-8053-b4c04f4d3233")
    digits = low.replace("-", "")
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return keep_real("-".join(parts))


def parse_serial(text: str) -> str:
    """Return a serial number in capitals; empty for one that many machines have."""
    clean = " ".join(word for word in text.upper().split(" ") if word)
    is_plain = text.isascii() and _SERIAL.fullmatch(clean)
    if len(clean) > SERIAL_MAX_CHARS or not is_plain:
        raise InputError(
            "serial",
            f"a serial number is 1 to {SERIAL_MAX_CHARS} printable ASCII characters, the first a"
            " letter or a digit",
        )
    return keep_real(clean)


def keep_real(text: str) -> str:
    """Return `text`, or nothing if it is what stands where nobody filled a value in."""
    return "" if text in FILLED_IN_BY_NOBODY else text


def label_of(key: str) -> str:
    """Return a machine's public name, from which nobody learns its identity by looking at it."""
    return hashlib.sha256(key.encode()).hexdigest()[:LABEL_CHARS]
