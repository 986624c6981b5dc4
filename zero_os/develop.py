"""The verbs for developers: test, check, bench."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common.errors import UsageError
from zero_os.side_by_side import run_everything

TOP = Path(__file__).resolve().parent.parent
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
)
CHECK_DEADLINE_S = 900


def main(argv: Sequence[str], prog: str) -> int:
    """Run the verb that is the last word of `prog`."""
    verb = prog.split()[-1]
    if not (TOP / "pyproject.toml").exists():
        raise UsageError(
            f"{prog} works only in a checkout", hint="clone the project with git, then run ./zos"
        )
    os.chdir(TOP)
    return {"test": run_tests, "check": run_checks, "bench": run_benchmarks}[verb](argv, prog)


def run_tests(argv: Sequence[str], prog: str) -> int:
    """Replace this process by pytest with `argv`; without arguments, run all tests in parallel."""
    del prog
    sys.stdout.flush()
    if argv:
        os.execv(sys.executable, [sys.executable, "-m", "pytest", *argv])
    return run_everything()


def run_checks(argv: Sequence[str], prog: str) -> int:
    """Run every check, even if one fails; return the highest exit status."""
    if argv and argv[0] in ("-h", "--help"):
        sys.stdout.write(f"usage: {prog}\n")
        return 0
    if argv:
        raise UsageError(f"cannot check only {' '.join(argv)!r}: {prog} takes no arguments")
    statuses = []
    for call in CHECKS:
        sys.stderr.write(f"zos: {' '.join(call)}\n")
        tool = [sys.executable, "-m", *call]
        statuses.append(subprocess.run(tool, timeout=CHECK_DEADLINE_S, check=False).returncode)
    return max(statuses)


def run_benchmarks(argv: Sequence[str], prog: str) -> int:
    """Run all benchmarks, or the one that `argv` names, with the remaining arguments."""
    names = sorted(path.stem for path in (TOP / "bench").glob("bench_*.py"))
    names = [name.removeprefix("bench_") for name in names]
    if argv and argv[0] in ("-h", "--help"):
        sys.stdout.write(f"usage: {prog} [{'|'.join(names)}] [ARGUMENT ...]\n")
        return 0
    if argv and argv[0] not in names:
        raise UsageError(f"no benchmark {argv[0]!r}", hint="the benchmarks are: " + " ".join(names))
    status = 0
    for name in [argv[0]] if argv else names:
        call = [sys.executable, "-m", f"bench.bench_{name}", *argv[1:]]
        status = max(status, subprocess.run(call, check=False).returncode)
    return status
