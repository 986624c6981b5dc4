"""What the API answers when it does not do what it is asked."""

from core.errors import CoreError


class RefusedError(CoreError):
    """A call that is answered with `status`, and `headers` beside the usual ones."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        hint: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.headers = headers
