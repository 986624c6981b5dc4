"""The adapter for libfuse on a machine without it."""

import ctypes.util
import sys

import pytest

import flist.mount.fuse
from flist.errors import FlistError
from flist.mount.mount import load_library


@pytest.fixture(autouse=True)
def forget_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the next import of the adapter a fresh one."""
    monkeypatch.delattr(flist.mount.fuse, "library", raising=False)
    for name in ("flist.mount.fuse.library", "mfusepy"):
        monkeypatch.delitem(sys.modules, name, raising=False)


def test_a_missing_mfusepy_is_reported_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mfusepy", None)
    with pytest.raises(FlistError, match="mfusepy is not installed") as raised:
        load_library()
    assert "pip install 'zero-os[host]'" in (raised.value.hint or "")


def test_a_missing_libfuse_is_reported_with_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FUSE_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(ctypes.util, "find_library", lambda _name: None)
    with pytest.raises(FlistError, match="Unable to find libfuse") as raised:
        load_library()
    assert "libfuse3-4" in (raised.value.hint or "")
