"""Runs all tests in pytest processes, three at a time: most tests wait for something.

The machines' tests are the longest job, so they begin first, and the others give way to them: an
emulated machine needs a core of its own. Each folder of other tests is a job, the largest first,
and a process that has ended makes room for the next one, so two cores are busy until the end.
A job's output goes to a file, which is printed when the job has ended; the last lines have what
failed and the totals. Ctrl-C ends what runs, and each cleans up.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import types
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

CALL = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")  # they would share the cache
AT_ONCE = 3
GIVING_WAY = ("nice", "-n", "5")
MACHINES, OTHERS = ("-m", "vm"), ("-m", "not vm")
LARGE = 30  # files
END_WITHIN_S = 60
NO_TESTS = 5  # pytest's exit status, of a folder whose tests all boot machines
INTERRUPTED = 130
FAULTS = ("FAILED ", "ERROR ")  # how pytest's lines about them begin


class Counts(NamedTuple):
    """Numbers of tests, by outcome."""

    passed: int
    failed: int
    skipped: int


class Job:
    """One pytest process, whose output and report are files in `folder`."""

    def __init__(self, folder: Path, number: int, words: Sequence[str]) -> None:
        self.name = words[-1]
        self.report = folder / f"{number}.xml"
        self.output = folder / f"{number}.txt"
        before = () if tuple(words) == MACHINES else GIVING_WAY
        call = [*before, *CALL, *words, f"--junitxml={self.report}"]
        with open(self.output, "w") as output:
            # In its own process group, so that Ctrl-C reaches it only once, through us.
            self.process = subprocess.Popen(
                call, stdin=subprocess.DEVNULL, stdout=output, stderr=output, process_group=0
            )

    def show(self) -> list[str]:
        """Print the output; return its lines about what failed."""
        text = self.output.read_text(errors="replace")
        sys.stdout.write(f"zos: {self.name}\n{text}")
        sys.stdout.flush()
        return [line for line in text.splitlines() if line.startswith(FAULTS)]


def run_everything() -> int:
    """Run all tests; return the highest exit status."""
    started = time.monotonic()
    sys.stdout.write("zos: what each folder's tests say is shown when they have ended\n")
    sys.stdout.flush()
    with tempfile.TemporaryDirectory(prefix="zos-tests-") as name:
        jobs: list[Job] = []
        failed: list[str] = []
        try:
            for job in run_jobs(Path(name), find_jobs(Path("tests")), jobs):
                failed += job.show()
            statuses = [job.process.returncode for job in jobs]
        except KeyboardInterrupt:
            statuses = [INTERRUPTED]
            for job in interrupt(jobs):
                failed += job.show()
        counts = [read_counts(job.report) for job in jobs]
    sys.stdout.write("".join(f"{line}\n" for line in failed))
    sys.stdout.write(summary(counts, time.monotonic() - started))
    sys.stdout.flush()
    return max((status for status in statuses if status != NO_TESTS), default=NO_TESTS)


def find_jobs(top: Path) -> list[list[str]]:
    """Return the arguments of each pytest process; together they run every test once.

    A folder `tests/X/Y` is a job, and of one with many files each folder in it; unit tests are
    quick enough to stay together. Jobs with most files begin first: none is left for the end.
    """
    places = [path.relative_to(top).parent.parts for path in top.glob("*/*/**/test_*.py")]
    whole = Counter(parts[:2] for parts in places)
    large = {parts for parts, count in whole.items() if count > LARGE and "unit" not in parts}
    counts = Counter(parts[: 3 if parts[:2] in large else 2] for parts in places)
    folders = [str(top.joinpath(*parts)) for parts, _ in counts.most_common()]
    jobs = [[*MACHINES]]
    for folder in folders:
        inner = sorted(other for other in folders if other.startswith(f"{folder}/"))
        jobs.append([*(f"--ignore={name}" for name in inner), *OTHERS, folder])
    rest = sorted(f"--ignore={top.joinpath(*parts)}" for parts in whole)
    return [*jobs, [*rest, *OTHERS]]


def run_jobs(folder: Path, calls: Sequence[Sequence[str]], jobs: list[Job]) -> Iterator[Job]:
    """Start each call as early as may be, keep it in `jobs`, and yield it when it has ended."""
    with sigterm_as_interrupt():
        running: dict[int, Job] = {}
        for number, words in enumerate(calls):
            if len(running) == AT_ONCE:
                yield wait_for_one(running)
            jobs.append(Job(folder, number, words))
            running[jobs[-1].process.pid] = jobs[-1]
        while running:
            yield wait_for_one(running)


def wait_for_one(running: dict[int, Job]) -> Job:
    """Return the first job that ends."""
    while True:
        ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        if job := running.pop(ended.si_pid, None):
            job.process.wait()
            return job


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM like Ctrl-C."""

    def interrupt(_number: int, _frame: types.FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interrupt(jobs: Sequence[Job]) -> list[Job]:
    """Interrupt what still runs, wait for it, and return it."""
    running = [job for job in jobs if job.process.poll() is None]
    for job in running:
        job.process.send_signal(signal.SIGINT)
    for job in running:
        end(job.process)
    return running


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
