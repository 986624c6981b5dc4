"""Saves evidence of a machine that failed: logs, screen, events."""

import contextlib
import json
import shutil
import sys
import time
from pathlib import Path

from common.paths import cache_dir
from qemu.errors import MachineError
from qemu.session import Session

KEPT_FAILURES = 20


def failure_folder(name: str) -> Path:
    """Create a folder for one failure and remove the oldest ones; return it."""
    base = cache_dir("vm-failures")
    for old in sorted(base.iterdir())[: -KEPT_FAILURES + 1]:
        shutil.rmtree(old, ignore_errors=True)
    folder = base / f"{time.strftime('%Y%m%d-%H%M%S')}-{name}-{time.monotonic_ns() % 1_000_000:06}"
    folder.mkdir()
    return folder


def save_evidence(session: Session, target: Path) -> None:
    """Save the available evidence and print where; never raises `MachineError`."""
    target.mkdir(parents=True, exist_ok=True)
    if session.folder != target:
        for log in session.folder.glob("*.log"):
            shutil.copy(log, target)
    rows = [event._asdict() for event in session.monitor.events()]
    (target / "events.json").write_text(json.dumps(rows, indent=1) + "\n")
    with contextlib.suppress(MachineError, OSError):
        if session.process.is_running:
            session.screen.save(target / "screen.png")
            (target / "screen.txt").write_text(session.screen.text() + "\n")
    sys.stderr.write(f"qemu: the machine's console, screen and events are in {target}\n")
