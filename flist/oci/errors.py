"""The error of images."""

from flist.errors import FlistError


class ImageError(FlistError):
    """An image is not valid, does not match its digest, or cannot be fetched."""
