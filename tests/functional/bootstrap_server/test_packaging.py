"""The systemd unit, the container file and the settings that an operator starts from."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bootstrap_server.settings import BootstrapSettings
from serving.settings import load_settings
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_tool

PACKAGING = TOP / "packaging"
PROGRAM = "/opt/zero-os/bin/zos"
UNIT = PACKAGING / "zos-bootstrap.service"
ANALYZE_S = 120
EXPOSURE = "20"  # of 100; below 20 is what systemd calls good


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with a program that exists here."""
    path = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert text.count(PROGRAM) == 1
    path.write_text(text.replace(PROGRAM, sys.executable))
    return path


def test_systemd_takes_the_unit(unit: Path) -> None:
    call = [need_tool("systemd-analyze"), "verify", "--man=no", str(unit)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=ANALYZE_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_has_no_privileges(unit: Path) -> None:
    call = [need_tool("systemd-analyze"), "security", "--offline=true", f"--threshold={EXPOSURE}"]
    done = subprocess.run(
        [*call, str(unit)], capture_output=True, text=True, timeout=ANALYZE_S, check=False
    )
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr
    for line in ("DynamicUser=yes", "ProtectSystem=strict", "CapabilityBoundingSet=\n"):
        assert line in UNIT.read_text()


def test_a_stop_has_time_for_what_runs() -> None:
    found = re.search(r"TimeoutStopSec=(\d+)s", UNIT.read_text())
    fields = BootstrapSettings.model_fields
    assert found
    assert int(found[1]) > fields["stop_timeout"].default + fields["stop_delay"].default


def test_the_settings_to_begin_with_are_settings() -> None:
    settings = load_settings(BootstrapSettings, {}, PACKAGING / "bootstrap.toml")
    assert settings.url.startswith("https://")


def test_the_container_has_settings_that_exist_and_no_root() -> None:
    text = (PACKAGING / "Containerfile").read_text()
    names = re.findall(r"^ENV ZOS_BOOTSTRAP_(\w+)=", text, re.MULTILINE)
    assert names
    assert {name.lower() for name in names} <= set(BootstrapSettings.model_fields)
    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)
    assert f'ENTRYPOINT ["{PROGRAM}", "bootstrap", "serve"]' in text
