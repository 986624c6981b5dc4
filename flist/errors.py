"""What can go wrong with a flist, its blocks and its stores."""

from common.errors import ZosError


class FlistError(ZosError):
    """Anything of this package that a user can act on."""


class FormatError(FlistError):
    """A flist's metadata breaks the format's rules."""


class BlockError(FlistError):
    """The bytes of a block are not the bytes that its id and key promise."""


class StoreError(FlistError):
    """A store can't do what it was asked."""


class BlockMissingError(StoreError):
    """A store answered that it does not have a block."""


class StoreUnavailableError(StoreError):
    """A store does not answer now; later it may."""


class SignatureError(FlistError):
    """A signature is absent, broken, of another key, or of another flist."""
