"""The systemd unit and the settings that a registry's operator starts from."""

import re
import subprocess
import sys
from pathlib import Path

from registry.settings import RegistrySettings
from serving.settings import load_settings
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_tool

PACKAGING = TOP / "packaging"
PROGRAM = "/opt/zero-os/bin/zos"
UNIT = PACKAGING / "zos-registry.service"
ANALYZE_S = 120
EXPOSURE = "20"  # of 100; below 20 is what systemd calls good


def test_systemd_takes_the_unit_which_has_no_privileges(tmp_path: Path) -> None:
    path = tmp_path / UNIT.name
    path.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    analyze = need_tool("systemd-analyze")
    for words in (
        ("verify", "--man=no"),
        ("security", "--offline=true", f"--threshold={EXPOSURE}"),
    ):
        done = subprocess.run([analyze, *words, path], capture_output=True, text=True,
                              timeout=ANALYZE_S, check=False)  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stdout[-1000:]


def test_a_stop_has_time_for_what_runs() -> None:
    found = re.search(r"TimeoutStopSec=(\d+)s", UNIT.read_text())
    fields = RegistrySettings.model_fields
    assert found
    assert int(found[1]) > fields["stop_timeout"].default + fields["stop_delay"].default


def test_settings_and_container_have_settings_that_exist() -> None:
    text = (PACKAGING / "Containerfile.registry").read_text()
    names = re.findall(r"^ENV ZOS_REGISTRY_(\w+)=", text, re.MULTILINE)
    assert {name.lower() for name in names} == {"listen", "log_format", "state"}
    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)
    assert f'ENTRYPOINT ["{PROGRAM}", "registry"]' in text
    settings = load_settings(RegistrySettings, {}, PACKAGING / "registry.toml")
    assert (settings.farms, settings.origin) == ("token", "registry.example.org")
    assert (settings.enrolment_key, settings.key) == ([], None)  # files that nobody has made yet
