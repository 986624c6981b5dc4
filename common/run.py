"""The one door for subprocesses that are run to their end."""

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.errors import ZosError


class CommandError(ZosError):
    """A program failed, could not be started, or ran past its deadline."""


def run(
    argv: Sequence[str | Path],
    *,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: bytes | None = None,
) -> bytes:
    """Run `argv` and return its stdout; `env` is added to this process's environment.

    Raises `CommandError` with a command line that can be pasted and the end of its stderr.
    """
    words = [str(word) for word in argv]
    pasteable = shlex.join(words)
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **env} if env else None,
            cwd=cwd,
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandError(
            f"cannot run {words[0]}: not found",
            hint=f"install the package that has it (./zos does that), then: {pasteable}",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandError(
            f"{words[0]} did not end within {timeout_s:g} s", hint=pasteable
        ) from error
    if done.returncode != 0:
        said = (
            done.stderr.decode(errors="replace").strip()
            or done.stdout.decode(errors="replace").strip()
        )
        last = "\n".join(said.splitlines()[-8:])
        raise CommandError(
            f"{words[0]} failed with status {done.returncode}: {last}", hint=pasteable
        )
    return done.stdout
