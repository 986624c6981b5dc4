"""What can go wrong for the client."""

from core.errors import CoreError


class RemoteError(CoreError):
    """A node that can't be called, or that refuses."""
