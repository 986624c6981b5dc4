"""The `zos` launcher: what it installs, when it waits, and its errors."""

import importlib.util
import os
import shutil
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path

import pytest

from common.locks import hold_lock
from tests.helpers.checkout import TOP
from tests.helpers.waiting import wait_until

NOTHING_INSTALLED = "#!/bin/sh\nexit 1\n"
DEADLINE_S = 120
APT_FAILS = "#!/bin/sh\nexit 7\n"


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a checkout with a current .venv, whose Python prints its arguments."""
    top = tmp_path / "a check\nout"
    top.mkdir()
    for name in ("zos", "pyproject.toml", "requirements.lock"):
        shutil.copy(TOP / name, top)
    for name in ("bin", "common"):
        shutil.copytree(TOP / name, top / name)
    write_program(top / ".venv" / "bin" / "python", '#!/bin/sh\necho "$@"\n')
    loader = SourceFileLoader("launcher", str(top / "zos"))
    spec = importlib.util.spec_from_loader("launcher", loader)
    assert spec is not None
    launcher = importlib.util.module_from_spec(spec)
    loader.exec_module(launcher)
    launcher.STAMP.write_text(launcher.venv_identity())
    return top


def call_launcher(top: Path, *words: str, path: str = "") -> subprocess.Popen[str]:
    env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}" if path else os.environ["PATH"]}
    pipe = subprocess.PIPE
    call = [sys.executable, str(top / "zos"), *words]
    return subprocess.Popen(call, env=env, stdout=pipe, stderr=pipe, text=True)


def run_launcher(top: Path, *words: str, path: str = "") -> tuple[int, str, str]:
    with call_launcher(top, *words, path=path) as process:
        out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


def make_tools(top: Path) -> str:
    """Return a folder for PATH: no package is installed, and installing fails."""
    folder = top.parent / "tools"
    write_program(folder / "dpkg-query", NOTHING_INSTALLED)
    write_program(folder / "apt-get", APT_FAILS)
    return str(folder)


def test_a_current_venv_needs_no_lock(checkout: Path) -> None:
    (checkout / ".zos.lock").mkdir()  # as in a read-only checkout
    assert run_launcher(checkout, "hub", "x y") == (0, "-m zero_os hub x y\n", "")


@pytest.mark.parametrize("words", [["vm", "--help"], ["boot", "-h"], ["--help"], []])
def test_help_needs_no_packages(checkout: Path, words: list[str]) -> None:
    status, out, err = run_launcher(checkout, *words, path=make_tools(checkout))
    assert (status, err) == (0, "")
    assert out.split() == ["-m", "zero_os", *words]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test", "tests/nowhere"], "zos test: there is no tests/nowhere"),
        (["test", "-x", "tests/nowhere.py::test_it"], "zos test: there is no tests/nowhere.py"),
        (["bench", "nothing"], "zos bench: no benchmark 'nothing'"),
        (["bot"], "zos bot: unknown verb 'bot'"),
    ],
)
def test_a_wrong_name_is_said_before_anything_is_installed(
    checkout: Path, words: list[str], said: str
) -> None:
    (checkout / ".venv" / "zos-stamp").unlink()
    status, out, err = run_launcher(checkout, *words, path=make_tools(checkout))
    assert (status, out) == (2, "")
    assert err.startswith(f"{said}\n  hint: ")
    assert not (checkout / ".zos.lock").exists()


def test_a_read_only_checkout(checkout: Path) -> None:
    (checkout / ".zos.lock").mkdir()
    (checkout / ".venv" / "zos-stamp").unlink()
    status, out, err = run_launcher(checkout, "hub")
    assert (status, out) == (1, "")
    assert err.startswith("zos: cannot set up: ")
    assert "hint: run it once as the owner of" in err
    assert "Traceback" not in err


@pytest.mark.usefixtures("as_root")
def test_a_failed_installation(checkout: Path) -> None:
    status, out, err = run_launcher(checkout, "vm", path=make_tools(checkout))
    assert (status, out) == (1, "")
    assert "zos: cannot set up: it ended with status 7\n  hint: apt-get -q" in err
    assert "Traceback" not in err


def test_a_second_call_names_the_process_it_waits_for(checkout: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with open(said, "w") as errors:
        call = [sys.executable, str(checkout / "zos"), "vm"]
        env = {**os.environ, "PATH": f"{make_tools(checkout)}:{os.environ['PATH']}"}
        with hold_lock(checkout / ".zos.lock", "a test", DEADLINE_S):
            with subprocess.Popen(call, env=env, stdout=errors, stderr=errors) as process:
                try:
                    line = f"zos: waiting for process {os.getpid()} ("
                    wait_until(lambda: line in said.read_text(), "it waits")
                finally:
                    process.kill()
