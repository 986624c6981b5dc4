"""The sd_notify message of a service that is ready."""

import socket
from pathlib import Path

import pytest

from common.notify import notify_ready


def test_the_process_manager_is_notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify_ready("up")
        assert manager.recv(100) == b"READY=1\nSTATUS=up"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_a_missing_process_manager_is_no_error(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify_ready()
