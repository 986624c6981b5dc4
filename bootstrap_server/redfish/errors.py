"""What a management controller refuses, in words that say what to do."""

import contextlib
from collections.abc import Iterator

import sushy.exceptions as wrong

from common.errors import ZosError

MESSAGE_MAX_CHARS = 300


class RedfishError(ZosError):
    """The management controller can't do it, or refuses to."""


@contextlib.contextmanager
def explained(what: str, host: str) -> Iterator[None]:
    """Turn sushy's errors into `RedfishError`; `what` completes "cannot ..."."""
    try:
        yield
    except wrong.AccessError as error:
        raise RedfishError(
            f"cannot {what}: {host} refuses the user or the password",
            hint="--user NAME --password-file FILE; the user must be allowed to mount media",
        ) from error
    except wrong.ConnectionError as error:
        raise explain_connection(what, host, str(error)) from error
    except (wrong.MissingActionError, wrong.MissingAttributeError) as error:
        raise RedfishError(f"cannot {what}: {host} does not offer that: {error}") from error
    except wrong.ResourceNotFoundError as error:
        raise RedfishError(f"cannot {what}: {host} has no such resource: {told(error)}") from error
    except wrong.HTTPError as error:
        raise RedfishError(f"cannot {what}: {host} answered: {told(error)}") from error
    except wrong.SushyError as error:
        raise RedfishError(f"cannot {what}: {str(error)[:MESSAGE_MAX_CHARS]}") from error


def explain_connection(what: str, host: str, text: str) -> RedfishError:
    """Return the error of a connection that could not be made."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return RedfishError(
            f"cannot {what}: the certificate of {host} can't be verified",
            hint="--ca FILE, the certificate of its authority, or --insecure in a trusted network",
        )
    return RedfishError(
        f"cannot {what}: {host} can't be reached: {text[:MESSAGE_MAX_CHARS]}",
        hint="HOST is the address of the management controller (BMC), not of the machine itself",
    )


def told(error: wrong.HTTPError) -> str:
    """Return what a controller says of an error."""
    return f"{error.status_code} {error.detail or ''}".strip()[:MESSAGE_MAX_CHARS]
