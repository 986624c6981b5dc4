"""The errors of the registry, each with its HTTP status."""

from common.errors import UsageError, ZosError


class RegistryError(ZosError):
    """A request that the registry refuses; `http_members` is what else the client is told.

    `is_suspect` is whether an honest client does not send it: then the address has less patience.
    """

    http_status = 422
    is_suspect = True

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.http_members: dict[str, object] = {}


class NotAllowedError(RegistryError):
    """A good message of somebody who may not say this."""

    http_status = 403


class AbsentError(RegistryError):
    """There is no such farm, node or entry."""

    http_status = 404


class ConflictError(RegistryError):
    """What the message says does not follow what is there."""

    http_status = 409


class BusyError(RegistryError):
    """More messages wait than the registry can take."""

    http_status = 503

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="send it again in a moment")
        self.http_headers = {"Retry-After": "2"}


class DamagedError(ZosError):
    """The log or the tables do not fit together."""


class SettingsError(UsageError):
    """The registry cannot work with its settings."""
