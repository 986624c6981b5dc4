"""What can go wrong with an image."""

from flist.errors import FlistError


class ImageError(FlistError):
    """An image breaks a rule, is not what its digest promises, or can't be had."""
