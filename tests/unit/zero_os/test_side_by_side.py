"""All tests in processes, some at a time: which has what, totals, exit status, Ctrl-C."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.checkout import TOP
from tests.helpers.waiting import wait_until
from zero_os.side_by_side import Counts, find_jobs, read_counts, summary

DEADLINE_S = 120
SLOW = """
import os, time
def test_it(tmp_path):
    try:
        open({mark!r} + str(os.getpid()), "w").close()
        time.sleep(600)
    finally:
        open({mark!r} + "cleaned" + str(os.getpid()), "w").close()
"""


def run(folder: Path) -> subprocess.Popen[str]:
    """Run all tests in `folder`."""
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n    vm: a machine\n")
    env = {**os.environ, "PYTHONPATH": str(TOP)}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # plugins are slow to load
    code = "import sys; from zero_os.side_by_side import run_everything; sys.exit(run_everything())"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )


def write_tests(folder: Path, text: str) -> None:
    """Make `folder` with one file of tests."""
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "test_one.py").write_text(text)


def test_all_outputs_and_the_totals_are_shown(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n"
        "@pytest.mark.vm\ndef test_c(): pass\n@pytest.mark.vm\ndef test_d(): pytest.skip('no')\n"
    )
    with run(tmp_path) as process:
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "1 passed, 1 skipped, 2 deselected" in said
    *_, fault, took, totals = said.splitlines()
    assert fault.startswith("FAILED test_one.py::test_b")
    assert took.startswith("zos: all tests took ")
    assert totals == "2 passed, 1 failed, 1 skipped"


def test_each_test_runs_once_and_gives_way_to_machines(tmp_path: Path) -> None:
    level = os.nice(0)
    text = "import os\ndef test_it(): assert os.nice(0) == {}\n"
    machine = f"import pytest\npytestmark = pytest.mark.vm\n{text.format(level)}"
    other = text.format(min(level + 5, 19))
    write_tests(tmp_path / "tests/unit/a", other)
    write_tests(tmp_path / "tests/unit/a/deeper", other)
    write_tests(tmp_path / "tests/unit/vm_only", machine)
    write_tests(tmp_path / "tests/vm", machine)
    (tmp_path / "tests/unit/test_two.py").write_text(other)
    with run(tmp_path) as process:
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, said
    assert said.splitlines()[-1] == "5 passed, 0 failed, 0 skipped"


def test_no_test_at_all_is_a_failure(tmp_path: Path) -> None:
    with run(tmp_path) as process:
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 5


def takes(words: list[str], path: str) -> bool:
    """Return whether a job runs the tests of a file."""
    ignored = [word.removeprefix("--ignore=") for word in words if word.startswith("--ignore=")]
    folder = words[-1] if words[-1].startswith("/") else str(TOP / "tests")
    is_ignored = any(path.startswith(f"{other}/") for other in ignored)
    return path.startswith(f"{folder}/") and not is_ignored


def test_the_machines_begin_and_each_file_is_in_one_job() -> None:
    first, *others = find_jobs(TOP / "tests")
    assert first == ["-m", "vm"]
    assert all({"-m", "not vm"} < {*words, ""} for words in others)
    files = sorted(map(str, (TOP / "tests").rglob("test_*.py")))
    assert len(files) > 300
    for path in files:
        assert sum(takes(words, path) for words in others) == 1, path


def test_a_large_folder_is_a_job_for_each_folder_in_it() -> None:
    folders = [words[-1] for words in find_jobs(TOP / "tests")]
    assert str(TOP / "tests/functional/flist/hub") in folders
    assert str(TOP / "tests/functional/zinit") in folders
    assert folders.index(str(TOP / "tests/functional/flist/hub")) < len(folders) / 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_both_processes_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    text = SLOW.format(mark=f"{tmp_path}/mark-")
    (tmp_path / "test_one.py").write_text(text)
    (tmp_path / "test_two.py").write_text("import pytest\npytestmark = pytest.mark.vm\n" + text)
    with run(tmp_path) as process:
        try:
            wait_until(lambda: len(list(tmp_path.glob("mark-*"))) == 2, "both run", DEADLINE_S)
        finally:
            process.send_signal(number)
        said, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert len(list(tmp_path.glob("mark-cleaned*"))) == 2
    assert "KeyboardInterrupt" in said


def test_a_missing_or_broken_report_is_a_failure(tmp_path: Path) -> None:
    assert read_counts(tmp_path / "none.xml") == Counts(0, 1, 0)
    (tmp_path / "half.xml").write_text("<testsuites><testsuite tests=")
    assert read_counts(tmp_path / "half.xml") == Counts(0, 1, 0)


def test_the_last_line_has_the_totals() -> None:
    text = summary([Counts(3, 1, 0), Counts(2, 0, 5)], 61.2)
    assert text == "zos: all tests took 61 s\n5 passed, 1 failed, 5 skipped\n"
