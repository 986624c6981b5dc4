"""A hub that mirrors others: what was fetched is kept, verified, and served when they are away."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import urllib3

from flist.blocks.codec import digest
from flist.hub.app import create_app
from flist.hub.settings import HubSettings
from serving.listen import open_listener, own_url
from serving.run import serve_in_thread

BLOCK = bytes(range(256)) * 1000
ID = digest(BLOCK).hex()
PATH = f"/blocks/{ID[:2]}/{ID}"
FLIST = "/tf-zos/production.fl"


class Hub(NamedTuple):
    """A running hub, or mirror: its URL, and how it is stopped."""

    url: str
    stop: contextlib.ExitStack

    def ask(self, path: str) -> urllib3.BaseHTTPResponse:
        """Return the answer to GET."""
        return urllib3.request("GET", self.url + path, retries=False, timeout=30)


@contextlib.contextmanager
def serve_folder(root: Path) -> Iterator[Hub]:
    """Serve a plain folder with one flist and one block."""
    for place, data in ((root / "flists" / FLIST[1:], b"first"), (root / PATH[1:], BLOCK)):
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_bytes(data)
    listener = open_listener("127.0.0.1", 0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(serve_in_thread(create_app(root), listener))
        yield Hub(own_url(listener), stack)


@contextlib.contextmanager
def serve_mirror(root: Path, *urls: str) -> Iterator[tuple[Hub, list[str]]]:
    """Serve a mirror; yield it and what it has warned of."""
    said: list[str] = []
    app = create_app(root, HubSettings(root=root, upstream=list(urls)))
    listener = open_listener("127.0.0.1", 0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(serve_in_thread(app, listener))
        app.state.mirror.warn = said.append
        app.state.mirror.jobs.warn = said.append
        yield Hub(own_url(listener), stack), said


def test_what_was_fetched_is_served_without_the_upstream(tmp_path: Path) -> None:
    with serve_folder(tmp_path / "hub") as hub:
        with serve_mirror(tmp_path / "mirror", hub.url) as (mirror, said):
            assert mirror.ask(PATH).data == BLOCK
            assert mirror.ask(FLIST).data == b"first"
            assert json.loads(mirror.ask("/api/flist").data) == [FLIST[1:]]
            assert said == []
            hub.stop.close()
            answer = mirror.ask(PATH)
            assert answer.data == BLOCK
            assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert mirror.ask(FLIST).data == b"first"
            assert any("served as it was" in line for line in said)
        with serve_mirror(tmp_path / "mirror", hub.url) as (mirror, _):  # after a restart, too
            assert mirror.ask(PATH).data == BLOCK
            assert mirror.ask(FLIST).data == b"first"
            assert mirror.ask(f"/blocks/00/{'0' * 64}").status == 503


def test_a_flist_that_changed_is_fetched_again(tmp_path: Path) -> None:
    with (
        serve_folder(tmp_path / "hub") as hub,
        serve_mirror(tmp_path / "mirror", hub.url) as (mirror, _),
    ):
        assert mirror.ask(FLIST).data == b"first"
        (tmp_path / "hub" / "flists" / FLIST[1:]).write_bytes(b"second one")
        assert mirror.ask(FLIST).data == b"second one"
        (tmp_path / "hub" / "flists" / FLIST[1:]).unlink()
        assert mirror.ask(FLIST).status == 404  # withdrawn: it is not kept


def test_the_next_upstream_is_used_when_one_is_away_or_lies(tmp_path: Path) -> None:
    with (
        serve_folder(tmp_path / "liar") as liar,
        serve_folder(tmp_path / "hub") as hub,
        serve_mirror(tmp_path / "mirror", liar.url, hub.url) as (mirror, said),
    ):
        (tmp_path / "liar" / PATH[1:]).write_bytes(BLOCK[:-1] + b"?")
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            mirror.ask(PATH)  # the last byte is never sent
        assert any("damaged" in line for line in said)
        assert mirror.ask(PATH).data == BLOCK
        liar.stop.close()
        assert mirror.ask(FLIST).data == b"first"


def test_what_one_upstream_lacks_another_may_have(tmp_path: Path) -> None:
    with (
        serve_folder(tmp_path / "old") as old,
        serve_folder(tmp_path / "hub") as hub,
        serve_mirror(tmp_path / "mirror", old.url, hub.url) as (mirror, _),
    ):
        (tmp_path / "old" / PATH[1:]).unlink()
        assert mirror.ask(PATH).data == BLOCK


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "/api/v1/signin", "/../x", f"/blocks/zz/{ID}", "/"]
)
def test_other_addresses_are_not_there(path: str, tmp_path: Path) -> None:
    with serve_mirror(tmp_path / "mirror", "http://127.0.0.1:1") as (mirror, _):
        assert mirror.ask(path).status == 404
