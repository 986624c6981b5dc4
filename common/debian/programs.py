"""Runs programs of unpacked Debian packages with their own loader and C library.

They are ordinary x86-64 programs, so they run on any Linux of that processor, whatever the host's
distribution has installed, and give the same results on every host.
"""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from common.debian.architecture import AMD64
from common.errors import ZosError
from common.run import run

LIBRARY_FOLDER = AMD64.libraries
LOADER = AMD64.loader
PROCESSORS = (AMD64.machine, "AMD64")
DEADLINE_S = 600


def run_program(
    root: Path,
    program: str,
    args: Sequence[str | Path],
    *,
    name: str | None = None,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = None,
) -> bytes:
    """Run `program`, a path below `root`, and return its stdout; `name` is its argv[0]."""
    call = program_call(root, program, name)
    return run([*call, *args], timeout_s=DEADLINE_S, env=env, stdin=stdin)


def program_call(root: Path, program: str, name: str | None = None) -> list[str | Path]:
    """Return the words that start `program`; raise `ZosError` on another kind of processor."""
    machine = platform.machine()
    if machine not in PROCESSORS:
        raise ZosError(
            f"cannot run {program} on {machine}: it is an x86-64 program",
            hint="use an x86-64 machine",
        )
    call: list[str | Path] = [root / LOADER, "--library-path", root / LIBRARY_FOLDER]
    return [*call, "--argv0", name or str(root / program), root / program]
