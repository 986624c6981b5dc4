"""What can go wrong in a build that its user can do something about."""

from common.errors import ZosError


class ImageError(ZosError):
    """The release could not be built; nothing was left half-written."""


class FormatError(ImageError):
    """Bytes that were to be an archive, an ELF file or a kernel module are not."""
