"""Answers equal those of upstream's binaries: recorded scenarios are replayed and compared.

One daemon answers both recordings: 0.2.14 with the line protocol, 0.2.28 with JSON-RPC.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.helpers.checkout import TOP
from tests.helpers.zinit.daemon import write_launcher

SHARED = TOP.parent / "shared"
ATTEMPTS = 3  # the scenario waits for fixed times, which may be too short on a slow machine
# Answers that depend on the progress of a restart, which pauses for two seconds and then logs the
# service's lines again, or of a stop.
TIMING_DEPENDENT: dict[str, Sequence[list[str]]] = {
    "line": (
        ["line", "log snapshot"],
        ["line", "status late"],
        ["cli", "log", "-s"],
        ["cli", "log", "-s", "b"],
    ),
    "jsonrpc": (),
}


@pytest.mark.parametrize(
    ("record", "flavour"), [("zinit-0.2.14", "line"), ("zinit-0.2.28", "jsonrpc")]
)
def test_answers_equal_upstreams(tmp_path: Path, record: str, flavour: str) -> None:
    theirs = SHARED / "samples" / "zinit" / f"{record}.json"
    if not theirs.exists():
        pytest.skip(f"{theirs} does not exist")
    if flavour == "jsonrpc" and Path("/etc/zinit").exists():
        pytest.skip("the recorder would replace /etc/zinit")
    known = json.loads(theirs.read_text())
    scenario = tmp_path / "scenario.json"
    steps = [entry["step"] for entry in known["record"]]
    scenario.write_text(json.dumps({"services": known["services"], "steps": steps}))
    program = write_launcher(tmp_path)
    ours = tmp_path / "ours.json"
    skipped = TIMING_DEPENDENT[flavour]
    expected = leave_out(theirs, skipped, tmp_path / "theirs.json")
    tools = SHARED / "tools"
    for _ in range(ATTEMPTS):
        call: list[str | Path] = [
            sys.executable,
            tools / "record_zinit.py",
            program,
            flavour,
            scenario,
            ours,
        ]
        subprocess.run(call, check=True, timeout=120, stdin=subprocess.DEVNULL)
        assert json.loads(ours.read_text())["container_sigterm_exit"] == 0
        leave_out(ours, skipped, ours)
        compare: list[str | Path] = [
            sys.executable,
            tools / "compare_zinit.py",
            expected,
            ours,
            "-v",
        ]
        done = subprocess.run(compare, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode == 0:
            return
    pytest.fail(done.stdout + done.stderr)


def leave_out(source: Path, steps: Sequence[list[str]], target: Path) -> Path:
    """Write a recording without the answers to `steps`; return its path."""
    known = json.loads(source.read_text())
    known["record"] = [entry for entry in known["record"] if entry["step"] not in steps]
    target.write_text(json.dumps(known))
    return target
