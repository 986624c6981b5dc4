"""Blocks that are answered below ASGI: the same as above it, and gone when they are removed."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from flist.hub.web.hot import block_path, flist_path
from tests.functional.flist.hub.test_serve import ask
from tests.helpers.flist.mount import Hub, serving

DATA = bytes(range(256)) * 1000
NAME = hashlib.blake2b(DATA, digest_size=32).hexdigest()
PATHS = [f"/blocks/{NAME[:2]}/{NAME}", f"/blocks/{NAME}", f"/api/v1/block/{NAME}"]


@pytest.fixture(name="block")
def make_block(tmp_path: Path) -> Path:
    """Return the file of a block in a hub folder."""
    path = tmp_path / "blocks" / NAME[:2] / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    return path


@pytest.fixture(name="hub")
def run_hub(tmp_path: Path, block: Path) -> Iterator[Hub]:
    """Serve the hub folder."""
    assert block.is_file()
    with serving(tmp_path) as hub:
        yield hub


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=1-9"}, {"If-None-Match": f'"{NAME}"'}])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_both_ways_give_the_same(hub: Hub, path: str, headers: dict[str, str], method: str) -> None:
    answers = [ask(hub.url, target, method, headers) for target in (path, f"{path}?")]
    (fast, body), (slow, expected) = answers
    assert (fast.status, body) == (slow.status, expected)
    own = ("date", "x-request-id")
    rows = [
        sorted((key.lower(), value) for key, value in answer.getheaders() if key.lower() not in own)
        for answer, _ in answers
    ]
    assert rows[0] == rows[1]
    if (method, headers) == ("GET", {}):
        assert body == DATA


def test_a_block_is_counted_and_found_no_more_once_it_is_removed(hub: Hub, block: Path) -> None:
    for path in PATHS:
        assert ask(hub.url, path)[0].status == 200
        assert ask(hub.url, path, "HEAD")[0].status == 200
    said = json.loads(ask(hub.url, f"/api/v1/block/{NAME}/downloads")[1])
    assert said["downloads_count"] == len(PATHS)
    block.unlink()
    for path in PATHS:
        assert ask(hub.url, path)[0].status == 404


def test_a_block_in_the_other_layout_is_found(hub: Hub, block: Path, tmp_path: Path) -> None:
    block.rename(tmp_path / "blocks" / NAME)
    for path in PATHS:
        assert ask(hub.url, path)[1] == DATA


def test_a_flist_that_is_replaced_is_another_one(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "flists" / "me"
    folder.mkdir(parents=True)
    for data in (b"one", b"two!"):
        (folder / "new").write_bytes(data)
        (folder / "new").replace(folder / "it.fl")
        for path in ("/me/it.fl", "/flists/me/it.fl") * 2:  # the first time, it is read through
            answers = [ask(hub.url, target) for target in (path, f"{path}?")]
            assert [body for _, body in answers] == [data, data]
            tags = {answer.headers["ETag"] for answer, _ in answers}
            assert tags == {f'"{hashlib.sha256(data).hexdigest()}"'}
    (folder / "it.fl").unlink()
    assert ask(hub.url, "/me/it.fl")[0].status == 404


def test_which_addresses_name_a_flist() -> None:
    found = flist_path("/f", "/me/a.fl.sig")
    assert found == ("a.fl.sig", "/f/me/a.fl.sig", "/{repo}/{name}")
    assert flist_path("/f", "/flists/me/a.fl") == ("a.fl", "/f/me/a.fl", "/flists/{repo}/{name}")
    for path in ("/api/a.fl", "/me/a", "/../a.fl", "/me/../a.fl", "/me/a.fl/", "/x/me/a.fl"):
        assert flist_path("/f", path) is None, path


def test_which_addresses_name_a_block(tmp_path: Path) -> None:
    for path in PATHS:
        found = block_path(str(tmp_path), path)
        assert found is not None
        assert (found.name, found.path) == (NAME, f"{tmp_path}/{NAME[:2]}/{NAME}")
    wrong = [f"/blocks/00/{NAME}", f"/blocks/{NAME[:-1]}", f"/blocks/{NAME}/", f"/blocks//{NAME}"]
    for path in (*wrong, f"/blocks/{NAME.upper()}", f"/api/v1/block/{NAME}/downloads"):
        assert block_path(str(tmp_path), path) is None, path
