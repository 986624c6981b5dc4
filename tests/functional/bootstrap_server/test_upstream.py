"""What upstream's 0-bootstrap answered, asked of this server again: every kind of image."""

import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap_server.channels.releases import BOOT_FILES
from bootstrap_server.images.kinds import KINDS
from tests.functional.bootstrap_server.test_server import run_server

pytestmark = pytest.mark.timeout(900)
SHARED = Path(__file__).resolve().parents[4] / "shared"
SAMPLES = SHARED / "samples" / "bootstrap"
REPLAY = SHARED / "tools" / "replay_server.py"
DEADLINE_S = 300


@pytest.mark.skipif(not REPLAY.exists() or not SAMPLES.exists(), reason="the samples are not here")
def test_the_recorded_requests_for_images_are_answered_as_upstream_did(tmp_path: Path) -> None:
    for mode in ("prod", "test", "dev"):
        (tmp_path / mode).mkdir()
        for name in BOOT_FILES:
            (tmp_path / mode / name).write_bytes(b"a kernel")
    only = [word for name in KINDS if name != "ipxe" for word in ("--only", name)]
    with run_server(tmp_path) as server:
        files = [str(SAMPLES / name) for name in ("scenario.json", "answers.json")]
        call = [sys.executable, str(REPLAY), "compare", *files, *only, "-v"]
        call += ["--base", f"main={server.url}"]
        done = subprocess.run(call, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "answers good" in done.stdout
