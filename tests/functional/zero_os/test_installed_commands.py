"""The commands that the package installs: each starts and prints its usage."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.needs import lack

SCRIPTS = Path(sys.executable).parent


@pytest.mark.parametrize("name", ["zos", "zinit", "rfs"])
def test_an_installed_command_prints_its_usage(name: str, tmp_path: Path) -> None:
    program = SCRIPTS / name
    if not program.exists():
        lack(f"{program} is not installed")
    done = subprocess.run(
        [program, "--help"],
        cwd=tmp_path,  # not the checkout, so that it imports the installed packages
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert name in done.stdout
