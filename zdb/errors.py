"""The errors of zdb."""

from common.errors import UsageError, ZosError


class ZdbError(ZosError):
    """A folder, a file or a server that zdb can't use."""


class DamagedError(ZdbError):
    """A file whose bytes are not what was written."""


class VersionError(DamagedError):
    """A file of another version of its format."""


class SettingsError(UsageError):
    """The server can't work with its settings."""


class RefusedError(ZdbError):
    """A request that is answered by an error; the message is upstream's, without its dash."""


class WriteError(RefusedError):
    """The disk does not take what a request writes."""

    def __init__(self) -> None:
        super().__init__("Cannot write data right now")
