"""Where blocks are cached unless the user says so."""

import os
from pathlib import Path

import pytest

from flist.commands.shared.options import default_cache


def test_the_default_cache_of_a_second_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flist.commands.shared.options.SHARED_CACHE", tmp_path / "cache")
    assert default_cache() == tmp_path / "cache"
    (tmp_path / "cache").mkdir()
    assert default_cache() == tmp_path / "cache"
    uid = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    assert default_cache() == tmp_path / f"cache-{uid}"
