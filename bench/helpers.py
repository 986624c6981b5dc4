"""Shared by benchmarks: options, rounds, medians, tables, and the Debian tree that all use."""

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from common.debian.fetch import fetch_packages

PACKAGES = ("apt", "bash", "coreutils", "findutils", "gcc", "git", "openssh-client", "perl",
            "python3", "vim")  # fmt: skip
"""A base system with developers' tools: about 10,000 entries, 300 MB."""
DEADLINE_S = 600


class Aim(NamedTuple):
    """A ratio of two results, and its upper limit (None: shown without a limit)."""

    name: str
    ours: str
    theirs: str
    limit: float | None = None


def read_options(name: str, description: str | None, quick: str) -> argparse.Namespace:
    """Return the options of benchmark `name`; `quick` explains --quick."""
    parser = argparse.ArgumentParser(prog=f"zos bench {name}", description=description)
    parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


def need_root(purpose: str) -> None:
    """Exit with a message unless this is root."""
    if os.geteuid() != 0:
        sys.exit(f"needs root, to {purpose}")


def talk(text: str) -> None:
    """Print progress on stderr."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """Yield an empty folder in memory, removed at the end; SIGTERM ends the block like Ctrl-C."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(
        prefix=f"bench-{name}-", dir=base, ignore_cleanup_errors=True
    ) as folder:
        yield Path(folder)


def make_tree(folder: Path) -> Path:
    """Extract the Debian tree into `folder` and return it."""
    talk("fetching Debian packages (once)")
    archive = fetch_packages(PACKAGES)
    folder.mkdir()
    run("tar", "-xf", archive, "-C", folder, "--exclude=./dev/*")
    return folder


def need(*programs: str) -> None:
    """Exit with a message if a program is missing."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        sys.exit(f"not installed: {', '.join(missing)} (`./zos bench` installs what it needs)")


def run(*words: str | Path) -> str:
    """Run a command to its end and return its stdout; raise `RuntimeError` if it fails."""
    done = subprocess.run(
        list(map(str, words)), capture_output=True, check=False, timeout=DEADLINE_S, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"{words[0]} gave {done.returncode}: {done.stderr[-500:]}")
    return done.stdout


def shell(text: str) -> None:
    """Run a pipeline; raise `RuntimeError` if any part of it fails."""
    run("bash", "-o", "pipefail", "-c", text)


def zos_flist(*words: str | Path) -> str:
    """Run `zos flist WORDS` and return its stdout."""
    return run(sys.executable, "-m", "zero_os", "flist", *words)


def take_time(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def take_turns(rounds: int, contenders: Mapping[str, Callable[[], float]]) -> dict[str, float]:
    """Measure every contender once per round, in turns; return the medians.

    Every other round goes backwards: none is always measured after the same one.
    """
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name, measure in list(contenders.items())[:: -1 if number % 2 else 1]:
            times[name].append(measure())
            talk(f"  round {number + 1}: {name} {times[name][-1]:.3f}")
    return {name: statistics.median(values) for name, values in times.items()}


def drop_caches() -> None:
    """Drop the kernel's caches of files."""
    run("sync")
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def render(title: str, times: Mapping[str, float], unit: str = "s") -> str:
    """Return a table of medians."""
    lines = [f"{title} (medians)"]
    lines += [f"  {name:<44}{value:10.3f} {unit}" for name, value in times.items()]
    return "\n".join(lines)


def render_aims(aims: Sequence[Aim], times: Mapping[str, float]) -> str:
    """Return a table of ratios and their limits."""
    lines = [f"{'':<58}{'ratio':>7}{'aim':>8}"]
    for aim in aims:
        if aim.ours not in times or aim.theirs not in times:
            continue
        ratio = times[aim.ours] / times[aim.theirs]
        limit = "" if aim.limit is None else f"<={aim.limit:g}"
        missed = "" if aim.limit is None or ratio <= aim.limit else "  missed"
        lines.append(f"  {aim.name:<56}{ratio:7.2f}{limit:>8}{missed}")
    return "\n".join(lines)
