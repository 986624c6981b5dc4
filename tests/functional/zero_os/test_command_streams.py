"""Commands under poor conditions: streams that are closed, full or not UTF-8; no cache."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.helpers.checkout import TOP

DEADLINE_S = 120
ZOS = [sys.executable, "-m", "zero_os"]


def run_shell(line: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command line with $ZOS in it; only PATH is inherited."""
    words = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "ZOS": " ".join(ZOS), **env}
    call = ["/bin/sh", "-c", line]
    return subprocess.run(
        call, cwd=TOP, env=words, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@pytest.mark.parametrize("verb", ["", "flist --help", "image --help", "zinit --help"])
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [(">&-", "Bad file descriptor"), ("> /dev/full", "No space left on device")],
)
def test_a_stdout_that_can_not_be_written(verb: str, redirection: str, reason: str) -> None:
    done = run_shell(f"$ZOS {verb} {redirection}")
    assert done.returncode == 1
    assert done.stderr.startswith("zos")
    assert f": cannot go on: {reason}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    done = run_shell("{ $ZOS --help; echo $? >&2; } | true")
    assert done.stderr in ("0\n", "1\n")  # the reader may have gone after the write


LONG = """
import sys
from common.errors import run_command
def write(_):
    sys.stdout.write("x" * int(sys.argv[1]) + "\\n")
    if sys.argv[2] == "again":
        while True:
            sys.stdout.write("line\\n")
    return 0
sys.exit(run_command(write, [], "prog"))
"""


@pytest.mark.parametrize("words", ["1000 once", "100000 once", "1000000 once", "10 again"])
def test_a_pipe_closed_during_a_long_output(words: str, tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text(LONG)
    env = {"PYTHON": sys.executable, "LONG": str(tmp_path / "long.py"), "PYTHONPATH": str(TOP)}
    done = run_shell(f'{{ "$PYTHON" "$LONG" {words}; }} | head -c 1', **env)
    assert done.stderr == ""


def test_another_broken_pipe_is_an_error() -> None:
    code = "raise BrokenPipeError(32, 'Broken pipe')"
    call = (
        f"def fail(_): {code}\nfrom common.errors import run_command\nrun_command(fail, [], 'prog')"
    )
    done = run_shell('"$PYTHON" -c "$CALL"', PYTHON=sys.executable, CALL=call, PYTHONPATH=str(TOP))
    assert done.stderr == "prog: cannot go on: Broken pipe\n"


@pytest.mark.parametrize("redirection", ["<&-", "2>&-", "<&- 2>&-"])
def test_closed_streams_that_are_not_used(redirection: str) -> None:
    done = run_shell(f"$ZOS --help {redirection}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: zos")


def test_messages_to_a_closed_stderr_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    words = f"-m {tmp_path}/a.fl -s dir://{tmp_path}/blocks {tmp_path}/tree"
    done = run_shell(f"$ZOS flist pack {words} 2>&-", ZOS_CACHE=str(tmp_path / "cache"))
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "a.fl").is_file()


@pytest.mark.parametrize(
    "locale",
    [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
@pytest.mark.parametrize("name", ["gr\u00fcn", "two\nlines", "with space"])
def test_names_that_the_locale_can_not_encode(
    locale: Mapping[str, str], name: str, tmp_path: Path
) -> None:
    done = run_shell('$ZOS vm --usb "$NAME"', NAME=str(tmp_path / name), **locale)
    assert done.returncode == 1
    assert "cannot boot" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("variable", ["ZOS_CACHE", "XDG_CACHE_HOME"])
def test_a_cache_folder_that_can_not_be_created(variable: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    output = tmp_path / "release"
    words = {variable: str(tmp_path / "file"), "OUTPUT": str(output)}
    done = run_shell('$ZOS image build --output "$OUTPUT"', **words)
    assert done.returncode == 1
    assert f"cannot use the cache folder {tmp_path}/file" in done.stderr
    assert "hint: choose a writable folder: ZOS_CACHE=FOLDER" in done.stderr
    assert "Traceback" not in done.stderr
