"""The errors of archives."""

from flist.errors import FlistError


class ArchiveError(FlistError):
    """A tar archive, or an image made of such, is refused."""


class CancelledError(FlistError):
    """The caller has cancelled the work."""
