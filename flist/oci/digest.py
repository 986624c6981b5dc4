"""Content digests: `sha256:<hex>` and `sha512:<hex>`, the two algorithms that OCI registers."""

import hashlib
import re
from typing import NamedTuple

from flist.oci.errors import ImageError

HEX_LENGTH = {"sha256": 64, "sha512": 128}


class Digest(NamedTuple):
    """A hash that names content."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"

    def hasher(self) -> "hashlib._Hash":
        """Return a new hash object of this algorithm."""
        return hashlib.new(self.algorithm)

    def matches(self, data: bytes) -> bool:
        """Return whether this is the digest of `data`."""
        hasher = self.hasher()
        hasher.update(data)
        return hasher.hexdigest() == self.hex


def parse_digest(value: object) -> Digest:
    """Return the digest in `value`; raises `ImageError` for anything else, such as a path."""
    if isinstance(value, str):
        algorithm, _, digits = value.partition(":")
        length = HEX_LENGTH.get(algorithm)
        if length and re.fullmatch(rf"[0-9a-f]{{{length}}}", digits):
            return Digest(algorithm, digits)
    raise ImageError(f"{str(value)[:160]!r} is not a sha256 or sha512 digest")
