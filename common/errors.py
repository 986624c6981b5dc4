"""The errors that a user may see, and the one place that prints them.

A message reads "cannot X: reason", in lower case; the hint says what to do and is printed on its
own line. An unexpected `OSError` (a full disk, an unreadable folder) is printed in the same form.
Any other exception is a bug and keeps its traceback.
"""

import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Callable, Sequence

from common.text import printable

LAYOUT = "\n\t"
EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 130

# The modules of the extra "host" in pyproject.toml, which `pip install zero-os` leaves out.
HOST_MODULES = (
    *("PyKCS11", "alembic", "anyio", "argon2", "authlib", "fastapi", "fsspec"),
    *("google_crc32c", "hiredis", "httpx", "jinja2", "joserfc"),
    *("ifaddr", "jwt", "markdown_it", "mfusepy", "multipart", "obstore", "packaging"),
    *("pkcs11", "pkg_resources", "prometheus_client", "psycopg", "pydantic"),
    *(
        "pydantic_core",
        "pydantic_settings",
        "pyeclib",
        "pyeclib_c",
        "python_multipart",
        "qemu.qmp",
        "rich",
    ),
    *("securesystemslib", "segno", "setuptools", "starlette", "sqlalchemy", "structlog"),
    *("sushy", "tuf", "uvicorn", "virt", "xxtea", "zeroconf"),
)

REFUSAL_HINTS = {
    errno.EACCES: "choose another place, or run this as a user with permission",
    errno.EPERM: "run this as root, or as a user with permission",
    errno.EROFS: "choose a writable place",
    errno.EEXIST: "that name is taken: choose another one, or move the old file away",
    errno.ENOSPC: "free some space, or use another disk with TMPDIR and ZOS_CACHE",
    errno.EMFILE: "allow more open files: ulimit -n",
}


class ZosError(Exception):
    """An error that a user can act on, with the exit status of the command it ends."""

    exit_code = EXIT_FAILURE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(ZosError):
    """The command line is invalid; nothing was done."""

    exit_code = EXIT_USAGE


def render_error(error: ZosError, prog: str) -> str:
    """Return the lines to print for `error`, each ending in a newline.

    The text may contain names chosen by others, so control characters are escaped.
    """
    lines = [f"{prog}: {error.message}"]
    lines += [f"  note: {note}" for note in getattr(error, "__notes__", ())]
    lines += [f"  hint: {error.hint}"] if error.hint else []
    return "".join(f"{printable(line, LAYOUT)}\n" for line in lines)


def run_command(main: Callable[[Sequence[str]], int], argv: Sequence[str], prog: str) -> int:
    """Run `main(argv)`; turn its exceptions into an exit status and a message on stderr.

    With `ZOS_TRACEBACK` set, an `OSError` keeps its traceback.
    """
    prepare_streams()
    try:
        status = call_main(main, argv)
        sys.stdout.flush()
        return status
    except ZosError as error:
        return fail(error, prog)
    except KeyboardInterrupt:
        tell(f"{prog}: interrupted\n")
        return EXIT_INTERRUPTED
    except ModuleNotFoundError as error:
        if not is_host_module(error.name or ""):
            raise
        return fail(explain_missing(error.name or "", prog), prog)
    except OSError as error:
        if os.environ.get("ZOS_TRACEBACK"):
            raise
        if isinstance(error, BrokenPipeError) and is_reader_gone():
            finish_output()
            return EXIT_FAILURE
        return fail(explain_refusal(error), prog)


def is_host_module(name: str) -> bool:
    """Return whether a module belongs to the extra "host"."""
    return any(name == module or name.startswith(f"{module}.") for module in HOST_MODULES)


def explain_missing(name: str, prog: str) -> ZosError:
    """Return the error to print for a module of the extra "host" that is not installed."""
    return ZosError(
        f"cannot run {prog}: the Python module {name} is not installed",
        hint="pip install 'zero-os[host]'",
    )


def call_main(main: Callable[[Sequence[str]], int], argv: Sequence[str]) -> int:
    """Return the exit status of `main`, also if argparse ends it after help or an error."""
    try:
        return main(argv)
    except SystemExit as stop:
        if stop.code is not None and not isinstance(stop.code, int):
            raise
        return stop.code or 0


def fail(error: ZosError, prog: str) -> int:
    """Print `error` on stderr and return its exit status."""
    finish_output()  # earlier output comes first
    tell(render_error(error, prog))
    return error.exit_code


def tell_traceback() -> None:
    """Print the traceback of the exception that is being handled.

    Imports nothing, as `traceback` would: that takes time, and fails when descriptors are scarce.
    """
    if sys.stderr is not None:
        sys.__excepthook__(*sys.exc_info())


def tell(text: str) -> None:
    """Write to stderr; a closed stderr is ignored."""
    with contextlib.suppress(OSError):
        sys.stderr.write(text)
        sys.stderr.flush()


def prepare_streams() -> None:
    """Make stdin, stdout and stderr usable, even if they were closed at the start.

    The next file to be opened would take a closed stream's descriptor. A closed stdout is replaced
    by a read-only one, so that writing fails instead of losing data; a closed stderr by /dev/null.
    Undecodable file names, and characters that the terminal lacks, are no errors.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            place = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if place != number:
                os.dup2(place, number)
                os.close(place)
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            is_full = stream.encoding.lower().replace("-", "") == "utf8"
            stream.reconfigure(errors="surrogateescape" if is_full else "backslashreplace")


def is_reader_gone() -> bool:
    """Return whether the reader of stdout has gone (`zos ... | head`), which is no error."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # a captured stdout has none
        return False
    watch = select.poll()
    watch.register(number, 0)
    return any(seen & (select.POLLERR | select.POLLHUP) for _, seen in watch.poll(0))


def finish_output() -> None:
    """Flush stdout; if that fails, drop the rest, so that Python does not complain at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            hole = os.open(os.devnull, os.O_WRONLY)
            os.dup2(hole, sys.stdout.fileno())
            os.close(hole)


def explain_refusal(error: OSError) -> ZosError:
    """Return the error to print for an unexpected `OSError`."""
    reason = error.strerror or str(error) or type(error).__name__
    what = f"use {os.fsdecode(error.filename)}" if error.filename is not None else "go on"
    return ZosError(f"cannot {what}: {reason}", hint=REFUSAL_HINTS.get(error.errno or 0))
