"""A kernel command line that is not all UTF-8: what can be read of it counts."""

from pathlib import Path
from types import ModuleType

import pytest

from core.report import daemon as report
from core.update import daemon as update


@pytest.mark.parametrize("daemon", [report, update])
def test_a_byte_that_is_no_text_keeps_no_daemon_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, daemon: ModuleType
) -> None:
    path = tmp_path / "cmdline"
    path.write_bytes(b"quiet label=\xff update.interval=60\n")
    monkeypatch.setattr(daemon, "COMMAND_LINE", path)
    assert "status" in daemon.begin().methods
