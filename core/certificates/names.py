"""What a caller's certificate says: the farm, the role and the name, in one URI. No I/O."""

import enum
import re
from dataclasses import dataclass

from common.farms import FARM_MAX
from core.errors import CoreError

NAME_HINT = "letters, digits and . _ @ + -, at most 64, beginning with a letter or a digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_URI = re.compile(r"zos:farm/([1-9][0-9]{0,9})/role/([a-z]{1,16})/([^/]{1,64})")


class CertificateError(CoreError):
    """A certificate that does not hold, or can't be made."""


class Role(enum.IntEnum):
    """What a caller may do; each role may do what those before it may."""

    READER = 1
    OPERATOR = 2
    FARMER = 3

    @property
    def word(self) -> str:
        """Return the role's name."""
        return self.name.lower()


ROLES = {role.word: role for role in Role}


@dataclass(frozen=True)
class Holder:
    """Who a certificate is for."""

    farm: int
    role: Role
    name: str

    def __post_init__(self) -> None:
        """Raise `CertificateError` for a farm or a name that no certificate can have."""
        if not 1 <= self.farm <= FARM_MAX:
            raise CertificateError(f"a farm's number is from 1 to {FARM_MAX}")
        if not _NAME.fullmatch(self.name):
            raise CertificateError("that is no name for a certificate", hint=NAME_HINT)

    @property
    def uri(self) -> str:
        """Return the holder as the certificate has it."""
        return f"zos:farm/{self.farm}/role/{self.role.word}/{self.name}"


def parse_uri(text: str) -> Holder:
    """Return the holder that a URI names. Raises `CertificateError`."""
    found = _URI.fullmatch(text)
    if found is None or found[2] not in ROLES:
        raise CertificateError("the certificate names no role at a farm")
    return Holder(int(found[1]), ROLES[found[2]], found[3])
