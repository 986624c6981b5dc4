"""The systemd unit, the settings and the container that an operator starts from."""

import re
import subprocess
import sys
from pathlib import Path

from serving.settings import load_settings
from tests.helpers.checkout import TOP
from tests.helpers.needs import need_tool
from zdb.serve.settings import ZdbSettings

PACKAGING = TOP / "packaging"
PROGRAM = "/opt/zero-os/bin/zos"
UNIT = PACKAGING / "zos-zdb.service"
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
        done = subprocess.run(
            [analyze, *words, path],
            capture_output=True, text=True, timeout=ANALYZE_S, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, ""), done.stdout[-1000:]


def test_a_stop_has_time_and_connections_have_descriptors() -> None:
    unit = UNIT.read_text()
    fields = ZdbSettings.model_fields
    for name, least in (
        (r"TimeoutStopSec=(\d+)s", fields["stop_timeout"].default),
        (r"LimitNOFILE=(\d+)", fields["max_connections"].default + 320),
    ):
        found = re.search(name, unit)
        assert found
        assert int(found[1]) > least


def test_settings_and_container_have_settings_that_exist() -> None:
    settings = load_settings(ZdbSettings, {}, PACKAGING / "zdb.toml")
    assert settings.disk == [Path("/srv/disk1"), Path("/srv/disk2")]
    text = (PACKAGING / "Containerfile.zdb").read_text()
    names = re.findall(r"^ENV ZOS_ZDB_(\w+)=", text, re.MULTILINE)
    assert {name.lower() for name in names} == {"listen", "log_format", "disk"}
    assert re.search(r"^USER [1-9]\d*$", text, re.MULTILINE)
    assert f'ENTRYPOINT ["{PROGRAM}", "zdb"]' in text
