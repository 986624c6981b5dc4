"""Why metadata is refused, one class for each kind of attack."""

from common.errors import ZosError


class MetadataError(ZosError):
    """The metadata can't be used; nothing of it was taken over."""


class MalformedError(MetadataError):
    """It can't be parsed, or says something that the specification forbids."""


class SignatureError(MetadataError):
    """Too few of the role's keys have signed it."""


class ExpiredError(MetadataError):
    """It has expired: it was held back by somebody, or its maintainer has not renewed it."""


class RollbackError(MetadataError):
    """It is older than what was seen before."""


class MismatchError(MetadataError):
    """It is not the file that the signed metadata names: of other size, digest or version."""
