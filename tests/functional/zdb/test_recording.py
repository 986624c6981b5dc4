"""What the real 0-db answered, step by step."""

import subprocess
import sys
from pathlib import Path

from tests.helpers.checkout import TOP
from tests.helpers.samples import samples_dir

START = """#!/bin/sh
[ "$1" = debug ] && set -- "$@" --debug-commands
shift
exec {python} -m zdb.upstream "$@"
"""


def test_every_recorded_answer(tmp_path: Path) -> None:
    folder = samples_dir() / "zdb"
    tool = samples_dir().parent / "tools" / "replay_server.py"
    start = tmp_path / "start"
    start.write_text(START.format(python=sys.executable))
    start.chmod(0o755)
    serve = f"env PYTHONPATH={TOP} {start} {{variant}} --port {{port}} --data {{data}}"
    files = [folder / "scenario.json", folder / "answers.json"]
    call: list[str | Path] = [sys.executable, tool, "compare", *files]
    done = subprocess.run(
        [*call, "--serve", f"{serve} --index {{index}} {{options}}"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout, done.stdout
    assert "744 of 744 answers good" in done.stdout
