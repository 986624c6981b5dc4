"""The error of images."""

from flist.archive.errors import ArchiveError


class ImageError(ArchiveError):
    """An image is not valid, does not match its digest, or cannot be fetched."""
