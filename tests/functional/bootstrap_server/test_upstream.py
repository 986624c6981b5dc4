"""What upstream's 0-bootstrap answered, asked of this server again: every address it has."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap_server.channels.releases import BOOT_FILES
from bootstrap_server.nodes.identity import parse_identity
from bootstrap_server.nodes.table import NodeTable
from bootstrap_server.options.model import Options
from bootstrap_server.state.opening import open_state
from tests.functional.bootstrap_server.test_server import run_server

pytestmark = pytest.mark.timeout(900)
SHARED = Path(__file__).resolve().parents[4] / "shared"
SAMPLES = SHARED / "samples" / "bootstrap"
REPLAY = SHARED / "tools" / "replay_server.py"
DEADLINE_S = 300
KERNELS = ("zos-v3.efi", "older.efi", "zero-os-development-zos-v2-generic.efi")
NOT_ALLOWED = "422: a kernel parameter that neither docs/parameters.md nor the operator allows"
DIFFERENT = {
    "ipxe-slash": NOT_ALLOWED,
    "ipxe-slash-only": NOT_ALLOWED,
    "ipxe-underscores": NOT_ALLOWED,
    "ipxe-colon": NOT_ALLOWED,
    "ipxe-equals": NOT_ALLOWED,
    "ipxe-many": NOT_ALLOWED,
    "ipxe-extra-hostile-5": "422 for ${net0/mac}; there it is 404, since the slash begins a kernel",
    "ipxe-query": "422 for an option that does not exist; there it has no effect",
    "ipxe-host": "the script is not compared, so both look the same; ours ignores the Host header",
    "kernel-absolute": "404 at once; there it leads to another address, which is 404",
    "provision-unknown": "422: no card has a MAC address of zeros; there it is 500",
}


@pytest.mark.skipif(not REPLAY.exists() or not SAMPLES.exists(), reason="the samples are not here")
def test_the_recorded_requests_are_answered_as_upstream_did(tmp_path: Path) -> None:
    releases, kernels = tmp_path / "releases", tmp_path / "kernels"
    for mode in ("prod", "test", "dev"):
        (releases / mode).mkdir(parents=True)
        for name in BOOT_FILES:
            (releases / mode / name).write_bytes(b"a kernel")
    kernels.mkdir()
    for name in KERNELS:
        (kernels / name).write_bytes(b"a kernel")
    (kernels / "latest.efi").symlink_to(KERNELS[0])
    state = open_state(tmp_path / "state", "")
    known = Options("prod", 1234, ("console=ttyS0",))
    NodeTable(state).put(parse_identity("52:54:00:12:34:56"), known, "me")
    state.close()
    settings = {"ZOS_BOOTSTRAP_KERNELS": kernels, "ZOS_BOOTSTRAP_STATE": tmp_path / "state"}
    with run_server(releases, **{key: str(path) for key, path in settings.items()}) as server:
        files = [str(SAMPLES / name) for name in ("scenario.json", "answers.json")]
        call = [sys.executable, str(REPLAY), "compare", *files, "--base", f"main={server.url}"]
        done = subprocess.run(call, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        foreign = server.ask("/ipxe/prod/1234", Host="evil.example")
    assert b"evil.example" not in foreign.data
    assert "answers good" in done.stdout, done.stdout + done.stderr
    found = set(re.findall(r"^(?:DIFFERS|COPIED) +(\S+)", done.stdout, re.MULTILINE))
    assert found == set(DIFFERENT), done.stdout
