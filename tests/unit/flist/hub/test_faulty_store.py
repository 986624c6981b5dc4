"""A store that fails in the middle: nothing half there, and no place or host is told."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from flist.errors import StoreError, StoreUnavailableError
from flist.hub.library.checking import check_hub
from flist.store.folder import FolderStore
from tests.helpers.flist.hub import LocalHub, make_flist, make_hub

SECRET = "s3://10.0.0.7/blocks refused"
FAULTS: dict[str, tuple[Callable[[], BaseException], int]] = {
    "down": (lambda: StoreUnavailableError(SECRET), 503),
    "refused": (lambda: StoreError(SECRET), 503),
    "full": (lambda: caused(OSError(28, "No space left on device")), 507),
}


def caused(cause: OSError) -> StoreError:
    """Return a store's error for what the system refused."""
    error = StoreError(SECRET)
    error.__cause__ = cause
    return error


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("good", range(4))
def test_an_upload_that_the_store_breaks_off(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch, fault: str, good: int
) -> None:
    """The first `good` blocks of a file are stored."""
    make_error, status = FAULTS[fault]
    put, left = FolderStore.put, [good]

    def fail(store: FolderStore, block_id: bytes, data: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise make_error()
        put(store, block_id, data)

    monkeypatch.setattr(FolderStore, "put", fail)
    body = os.urandom(2_000_000)
    answer = hub.send("POST", "/api/v1/file", body, user="alice")
    assert (answer.status, SECRET in answer.text) == (status, False)
    assert check_hub(hub.hub).problems == []
    monkeypatch.undo()
    assert hub.send("POST", "/api/v1/file", body, user="alice").status == 201
    assert list((hub.root / "tmp").iterdir()) == []


def test_a_publication_that_the_store_breaks_off(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_flist(tmp_path, hub.root, "content")

    def fail(*_: object) -> bytes:
        raise StoreUnavailableError(SECRET)

    for name in ("get", "put", "flush", "has"):
        monkeypatch.setattr(FolderStore, name, fail)
        answer = hub.send("PUT", "/alice/a.fl", data, user="alice")
        if answer.status != 201:
            assert (answer.status, SECRET in answer.text) == (503, False)
        monkeypatch.undo()
    assert hub.send("PUT", "/alice/a.fl", data, user="alice").status == 201
    assert check_hub(hub.hub).problems == []


def test_reads_while_the_store_is_down(
    hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make_flist(tmp_path, hub.root, "content")
    assert hub.send("PUT", "/alice/a.fl", data, user="alice").status == 201
    (copy,) = (hub.root / "cache").glob("*/*")

    def fail(*_: object) -> bytes:
        raise StoreUnavailableError(SECRET)

    monkeypatch.setattr(FolderStore, "get", fail)
    assert hub.send("GET", "/alice/a.fl").body == data  # there is a copy
    copy.unlink()
    answer = hub.send("GET", "/alice/a.fl")
    assert (answer.status, SECRET in answer.text) == (503, False)
    monkeypatch.undo()
    assert hub.send("GET", "/alice/a.fl").body == data
