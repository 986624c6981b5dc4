"""What can go wrong with a call."""

from common.errors import ZosError


class IpcError(ZosError):
    """A call that was refused or failed; `code` names the kind for programs, or is empty."""

    def __init__(self, message: str, *, hint: str | None = None, code: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class UnreachableError(IpcError):
    """No server answers, or not in time."""
