"""Two processes that want the same: one works, the other is told whom it waits for."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from common.debian import fetch_packages
from common.errors import ZosError
from common.locks import hold_lock
from tests.helpers.waiting import wait_until

HOLD = """
import sys
from pathlib import Path
from common.locks import hold_lock
sys.argv = ["/x/zero_os/__main__.py", "image", "build", "--output", "a\\nb"]
with hold_lock(Path({path!r}), "testing", 5):
    print("held", flush=True)
    sys.stdin.read()
"""
# Stands in for mmdebstrap: notes each call, takes its time while it is told to, and writes the
# archive, which is its last word.
FETCHER = """#!/bin/sh
echo called >> "$CALLS"
for last; do :; done
while [ -e "$SLOW" ]; do sleep 0.05; done
echo archive > "$last"
"""


def start_holder(path: Path) -> subprocess.Popen[str]:
    call = [sys.executable, "-c", HOLD.format(path=str(path))]
    pipe = subprocess.PIPE
    process = subprocess.Popen(call, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_deadline_names_who_holds_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    said: list[str] = []
    with start_holder(path) as holder:
        with pytest.raises(ZosError) as caught, hold_lock(path, "testing", 0.3, said.append):
            pytest.fail("two hold one lock")
        holder.communicate("", timeout=60)
    who = f"process {holder.pid} (zos image build --output a?b)"
    assert caught.value.message == f"cannot go on with testing: {who} has not finished it in 0.3 s"
    assert caught.value.hint is not None
    assert str(path) in caught.value.hint
    assert said == [f"waiting for {who}, which is busy with testing"]


def test_a_lock_goes_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with start_holder(path) as holder:
        holder.kill()
        holder.communicate(timeout=60)
    with hold_lock(path, "testing", 5, pytest.fail):
        pass
    assert path.read_text() == ""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and a mmdebstrap that notes its calls in the file that is returned."""
    program = tmp_path / "bin" / "mmdebstrap"
    program.parent.mkdir()
    program.write_text(FETCHER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("ZOS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("SLOW", str(tmp_path / "slow"))
    return tmp_path / "calls"


@pytest.mark.parametrize("refresh", [False, True])
def test_packages_are_fetched_once_for_all_who_want_them(
    calls: Path, refresh: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if refresh:
        fetch_packages(["a"])
        calls.unlink()
    slow = calls.with_name("slow")
    slow.touch()
    found: list[Path] = []
    said = ""

    def are_others_waiting() -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return said.count("waiting for") == 2

    def fetch() -> None:
        found.append(fetch_packages(["a"], refresh=refresh))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        wait_until(are_others_waiting, "one works and two wait")
    finally:
        slow.unlink()
        for thread in threads:
            thread.join(timeout=60)
    assert len(set(found)) == 1
    assert found[0].read_text() == "archive\n"
    assert calls.read_text() == "called\n"


def test_what_a_killed_fetch_left_behind_goes_with_the_next(calls: Path) -> None:
    archive = fetch_packages(["a"])
    left = archive.parent / f".{archive.stem}-killed"
    left.mkdir()
    other = archive.parent / ".another-fetch"
    other.mkdir()
    fetch_packages(["a"], refresh=True)
    assert other.is_dir()
    assert {path.name for path in archive.parent.iterdir()} == {
        other.name,
        archive.name,
        archive.with_suffix(".lock").name,
    }
