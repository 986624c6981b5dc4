"""The errors of Core-0's daemons."""

from common.errors import ZosError


class CoreError(ZosError):
    """An error that a farmer or an operator can act on."""
