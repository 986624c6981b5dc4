"""What the hub answers with when it cannot do what was asked; each has its HTTP status."""

from flist.errors import FlistError


class HubError(FlistError):
    """The hub refuses a request."""

    http_status = 400


class NotSignedInError(HubError):
    """The request carries no valid token."""

    http_status = 401

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.http_headers = {"WWW-Authenticate": "Bearer"}


class ForbiddenError(HubError):
    """The account, or its token, may not do this."""

    http_status = 403


class ScopeError(ForbiddenError):
    """The token is valid, but not for this."""

    def __init__(self, scope: str) -> None:
        super().__init__(f"the token lacks the scope {scope}")
        said = f'Bearer error="insufficient_scope", scope="{scope}"'
        self.http_headers = {"WWW-Authenticate": said}


class AbsentError(HubError):
    """There is no such thing, or the client may not know of it."""

    http_status = 404


class ConflictError(HubError):
    """The name is taken, or what is there has changed meanwhile."""

    http_status = 409


class TooLargeError(HubError):
    """The body, or what it would become, is larger than allowed, or than the account's quota."""

    http_status = 413


class InvalidError(HubError):
    """The request can be read, but not what it says."""

    http_status = 422


class BlocksMissingError(InvalidError):
    """A flist names blocks that the hub does not have, or that its sender may not read."""


class ReadOnlyError(ForbiddenError):
    """The hub takes no changes at the moment."""

    def __init__(self) -> None:
        super().__init__("readonly mode")
