"""Errors of a build that its user can act on."""

from common.errors import ZosError


class ImageError(ZosError):
    """The release could not be built; no file is half-written."""


class FormatError(ImageError):
    """Data is not a valid archive, ELF file or kernel module."""
