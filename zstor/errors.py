"""The errors of zstor."""

from common.errors import UsageError, ZosError


class ZstorError(ZosError):
    """A file that can't be stored, read back or repaired."""


class ConfigError(UsageError):
    """The configuration can't be used."""


class DamagedError(ZstorError):
    """Bytes that are not what was written."""


class LostError(ZstorError):
    """More shards are missing than the code can make up for; `missing` has their numbers."""

    def __init__(self, message: str, missing: tuple[int, ...], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.missing = missing


class NotStoredError(ZstorError):
    """Nothing is stored under this name."""


class PlacementError(ZstorError):
    """The backends that are there can't hold the shards as the configuration demands."""


class BackendError(ZstorError):
    """A backend that does not do what it is asked."""


class UnreachableError(BackendError):
    """No answer from a backend within its deadline, or no connection."""


class FullError(BackendError):
    """A backend has no room left."""


class QuorumError(ZstorError):
    """Too few metadata stores answer."""


class ConflictError(ZstorError):
    """Another writer changed the same file's metadata meanwhile."""
