"""The errors of talking to a daemon, in either protocol."""

from common.errors import ZosError

TIMEOUT_S = 30.0


class ZinitError(ZosError):
    """zinit refused a command; the message is zinit's own."""


class NoAnswerError(ZinitError):
    """zinit closed the connection before it answered."""


def misunderstand(answer: object) -> ZinitError:
    """Return the error for an answer that zinit does not give."""
    return ZinitError(
        f"cannot understand zinit's answer: {str(answer)[:80]}",
        hint="does another version, or another program, answer there?",
    )


def fail_to_talk(path: str, error: OSError) -> ZinitError:
    """Return the error for a daemon that cannot be reached."""
    return ZinitError(
        f"cannot talk to zinit on {path}: {error.strerror or error}",
        hint="is it running? -s names another socket",
    )
