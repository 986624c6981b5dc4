"""The services of a node take over network and mounts, so they run only on a node."""

from pathlib import Path

import pytest

from common.errors import UsageError
from image.parts.project import OS_RELEASE
from node import bringup, cli, network


def never() -> int:
    pytest.fail("the service was started")


@pytest.mark.parametrize("service", ["network", "bringup"])
def test_a_service_refuses_to_run_on_a_host(
    service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "main", never)
    monkeypatch.setattr(bringup, "main", never)
    for text in ("ID=debian\n", "", 'NAME="ID=zero-os"\n'):
        (tmp_path / "os-release").write_text(text)
        assert not cli.is_node(tmp_path / "os-release")
    assert not cli.is_node(tmp_path / "absent")
    monkeypatch.setattr(cli, "is_node", lambda: False)
    with pytest.raises(UsageError, match=f"cannot run {service} here"):
        cli.main([service], "zos node")


def test_a_machine_that_runs_a_release_is_a_node(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text(
        OS_RELEASE.format(version="1.0+0123", identity="0123", profile="virt")
    )
    assert cli.is_node(tmp_path / "os-release")
