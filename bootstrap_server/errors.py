"""What can go wrong here, each with the HTTP status that tells a client about it."""

from common.errors import UsageError, ZosError


class InputError(UsageError):
    """Something a person typed can't be used; `field` names the part of the form it came from."""

    http_status = 422

    def __init__(self, field: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class NotThereError(ZosError):
    """The address is well formed, and nothing is there."""

    http_status = 404


class NotReadyError(ZosError):
    """What is asked for is being changed at this moment."""

    http_status = 503


class SettingsError(UsageError):
    """The server was configured with something it can't serve."""


class TemplateError(ZosError):
    """The template image could not be built or is not what it must be."""

    http_status = 503
