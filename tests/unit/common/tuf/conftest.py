"""A store's tests write thousands of small files; that they reach the disk is tested elsewhere."""

import pytest


@pytest.fixture(autouse=True)
def without_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk."""
    monkeypatch.setattr("os.fsync", lambda _: None)
