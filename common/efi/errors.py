"""Errors of EFI binaries and of the keys that sign them."""

from common.errors import ZosError


class EfiError(ZosError):
    """An EFI binary can't be read, written or signed, or a key for that can't be used."""


class FormatError(EfiError):
    """Data is not a valid EFI binary."""
