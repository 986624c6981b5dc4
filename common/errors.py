"""The one family of errors that a user may see, and the one place that renders them.

A message reads "cannot X: reason", in lower case; the hint says what to do and stands on its
own line. Anything that is not a `ZosError` is a bug and keeps its traceback.
"""

import os
import sys
from collections.abc import Callable, Sequence

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130


class ZosError(Exception):
    """An error that a user can act on, with the exit status of the command it ends."""

    exit_code = EXIT_FAILURE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ZosError):
    """What was typed does not make sense; nothing was done."""

    exit_code = EXIT_USAGE


def render_error(error: ZosError, prog: str) -> str:
    """Return the lines to print for `error`, each ending in a newline."""
    lines = [f"{prog}: {error.message}"]
    lines += [f"  note: {note}" for note in getattr(error, "__notes__", ())]
    lines += [f"  hint: {error.hint}"] if error.hint else []
    return "".join(f"{line}\n" for line in lines)


def run_command(main: Callable[[Sequence[str]], int], argv: Sequence[str], prog: str) -> int:
    """Run `main(argv)` and turn what it raises into an exit status and a line on stderr."""
    try:
        status = main(argv)
        sys.stdout.flush()
        return status
    except ZosError as error:
        sys.stderr.write(render_error(error, prog))
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(f"{prog}: interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`zos ... | head`): end quietly, also at the interpreter's own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE
