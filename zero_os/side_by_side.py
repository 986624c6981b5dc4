"""Runs all tests in two pytest processes: emulated machines keep one core busy, the rest another.

The output of the machines' tests goes to a file, which is printed when both processes have ended;
the last line has the totals. Ctrl-C ends both, and each cleans up.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, TextIO
from xml.etree import ElementTree

CALL = (sys.executable, "-m", "pytest")
END_WITHIN_S = 60
INTERRUPTED = 130


class Counts(NamedTuple):
    """Numbers of tests, by outcome."""

    passed: int
    failed: int
    skipped: int


def run_everything() -> int:
    """Run all tests; return the higher exit status of the two processes."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zos-tests-") as name:
        folder = Path(name)
        sys.stdout.write("zos: the machines' tests run in parallel and are shown at the end\n")
        sys.stdout.flush()
        with open(folder / "vm.txt", "w") as shown_later:
            machines = start(folder / "vm.xml", ["-m", "vm", "-p", "no:cacheprovider"], shown_later)
            others = start(folder / "others.xml", ["-m", "not vm"], sys.stdout)
            statuses = wait_for([others, machines])
        sys.stdout.write((folder / "vm.txt").read_text(errors="replace"))
        counts = [read_counts(folder / "others.xml"), read_counts(folder / "vm.xml")]
    sys.stdout.write(summary(counts, time.monotonic() - started))
    sys.stdout.flush()
    return max(statuses)


def start(report: Path, words: Sequence[str], output: TextIO) -> subprocess.Popen[bytes]:
    """Start pytest in its own process group, so that Ctrl-C reaches it only once, through us."""
    call = [*CALL, *words, f"--junitxml={report}"]
    return subprocess.Popen(
        call, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
    )


def wait_for(processes: Sequence[subprocess.Popen[bytes]]) -> list[int]:
    """Return the exit statuses; pass SIGTERM and Ctrl-C on as SIGINT."""

    def pass_on(_number: int, _frame: types.FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        return [process.wait() for process in processes]
    except KeyboardInterrupt:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes:
            end(process)
        return [INTERRUPTED]
    finally:
        signal.signal(signal.SIGTERM, before)


def end(process: subprocess.Popen[bytes]) -> None:
    """Wait for an interrupted process; kill its group if it does not end."""
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def read_counts(report: Path) -> Counts:
    """Return the counts of a JUnit report; a missing or broken one counts as one failure."""
    try:
        suite = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314 - our own
    except (OSError, ElementTree.ParseError):
        suite = None
    if suite is None:
        return Counts(0, 1, 0)
    total = int(suite.get("tests", "0"))
    failed = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
    skipped = int(suite.get("skipped", "0"))
    return Counts(max(0, total - failed - skipped), failed, skipped)


def summary(counts: Sequence[Counts], seconds: float) -> str:
    """Return the last two lines: the duration and the totals."""
    passed, failed, skipped = (sum(column) for column in zip(*counts, strict=True))
    took = f"zos: all tests took {seconds:.0f} s\n"
    return f"{took}{passed} passed, {failed} failed, {skipped} skipped\n"
