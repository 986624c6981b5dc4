"""Folders of one run: removed at its end, swept if it was killed, never taken from a live one."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.scratch import scratch
from tests.helpers.checkout import TOP

OWNER = """
from common.scratch import scratch
import sys
with scratch("other") as folder:
    (folder / "file").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_removed_with_its_run_or_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(TOP))
    pipe = subprocess.PIPE
    call = [sys.executable, "-c", OWNER]
    with subprocess.Popen(call, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        other = Path(process.stdout.readline().strip())
        with scratch("mine") as mine:
            assert mine.parent == other.parent
            assert mine.stat().st_mode & 0o777 == 0o700
            assert (other / "file").exists()  # its owner lives
        assert not mine.exists()
        process.kill()
        process.wait(60)
        assert other.exists()
    with scratch("next") as following, scratch("inner"):
        assert not other.exists()
        assert following.exists()
