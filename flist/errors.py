"""The errors of flists, their blocks and their stores."""

from common.errors import ZosError


class FlistError(ZosError):
    """The base class of this package's errors. A user can act on each of them."""


class FormatError(FlistError):
    """A flist's metadata breaks a rule of the format."""


class BlockError(FlistError):
    """The bytes of a block do not match its id or key."""


class StoreError(FlistError):
    """A store refused a request."""


class BlockMissingError(StoreError):
    """A store does not have a block."""


class StoreUnavailableError(StoreError):
    """A store does not answer now, but may answer later."""


class SignatureError(FlistError):
    """A signature is missing, broken, by an untrusted key, or of another flist."""
