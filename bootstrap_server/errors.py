"""The errors of this package, each with its HTTP status."""

from common.errors import UsageError, ZosError


class InputError(UsageError):
    """An input of a user cannot be used; `field` names the form's field that it came from."""

    http_status = 422

    def __init__(self, field: str, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.field = field


class NotThereError(ZosError):
    """The address is well formed, but nothing is there."""

    http_status = 404


class ConflictError(ZosError):
    """What is asked for contradicts what is there already."""

    http_status = 409


class NotReadyError(ZosError):
    """The requested release is being changed at this moment."""

    http_status = 503


class RefusedError(ZosError):
    """What a publisher has sent is not what it should be, or may not be published."""

    http_status = 422


class ChangedError(ZosError):
    """What a publisher wants to replace is no longer what the publisher has seen."""

    http_status = 412


class PreconditionError(ZosError):
    """A request that replaces something does not say what."""

    http_status = 428


class SettingsError(UsageError):
    """The server cannot work with its settings."""


class TemplateError(ZosError):
    """The template image could not be built, or does not have the expected layout."""

    http_status = 503
