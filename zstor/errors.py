"""The errors of zstor."""

from common.errors import UsageError, ZosError


class ZstorError(ZosError):
    """A file that can't be stored, read back or repaired."""


class ConfigError(UsageError):
    """The configuration can't be used."""


class DamagedError(ZstorError):
    """Bytes that are not what was written."""
