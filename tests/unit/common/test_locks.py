"""A lock between processes: errors name its holder, and it ends with its holder."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import ZosError
from common.locks import hold_lock

HOLD = """
import sys
from pathlib import Path
from common.locks import hold_lock
sys.argv = ["/x/zero_os/__main__.py", "image", "build", "--output", "a\\nb"]
with hold_lock(Path({path!r}), "testing", 5):
    print("held", flush=True)
    sys.stdin.read()
"""


def start_holder(path: Path) -> subprocess.Popen[str]:
    """Start a process that holds the lock `path` until its stdin closes."""
    call = [sys.executable, "-c", HOLD.format(path=str(path))]
    pipe = subprocess.PIPE
    process = subprocess.Popen(call, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_error_at_the_deadline_names_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    said: list[str] = []
    with start_holder(path) as holder:
        with pytest.raises(ZosError) as caught, hold_lock(path, "testing", 0.3, said.append):
            pytest.fail("two processes hold one lock")
        holder.communicate("", timeout=60)
    who = f"process {holder.pid} (zos image build --output a?b)"
    assert caught.value.message == f"cannot go on with testing: {who} has not finished it in 0.3 s"
    assert caught.value.hint is not None
    assert str(path) in caught.value.hint
    assert said == [f"waiting for {who}, which is busy with testing"]


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with start_holder(path) as holder:
        holder.kill()
        holder.communicate(timeout=60)
    with hold_lock(path, "testing", 5, pytest.fail):
        pass
    assert path.read_text() == ""
