"""The errors of zdb."""

from common.errors import UsageError, ZosError


class ZdbError(ZosError):
    """A folder, a file or a server that zdb can't use."""


class DamagedError(ZdbError):
    """A file whose bytes are not what was written."""


class SettingsError(UsageError):
    """The server can't work with its settings."""
