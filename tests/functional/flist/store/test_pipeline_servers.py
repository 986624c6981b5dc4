"""Real servers answer pipelined requests."""

from collections.abc import Callable
from pathlib import Path

import pytest

from flist.blocks.codec import encode
from flist.http.patience import Patience
from flist.store import http
from flist.store.folder import FolderStore
from flist.store.http import HttpStore
from flist.store.server import ServerStore
from tests.helpers.flist.mount import serving
from tests.helpers.flist.servers import nginx_server

DATA = {encode(b"%d" % i * 5000).block.id: encode(b"%d" % i * 5000).data for i in range(40)}


def check(store: HttpStore) -> None:
    """Fetch all blocks over one connection, each once."""
    with store.announce(list(DATA)):
        pipeline = store.announced[next(iter(DATA))]
        assert {block_id: pipeline.take(block_id, Patience(20)) for block_id in DATA} == DATA
    assert store.broken_left == http.MAX_BROKEN
    assert len(store.client.origin.idle) == 1
    store.close()


@pytest.fixture(name="root")
def make_root(tmp_path: Path) -> Path:
    """Make the folder of a hub."""
    blocks = FolderStore(tmp_path / "hub" / "blocks")
    for block_id, data in DATA.items():
        blocks.put(block_id, data)
    return tmp_path / "hub"


@pytest.mark.parametrize(
    "open_store",
    [lambda url: HttpStore(f"{url}/blocks"), ServerStore],
    ids=["folder of blocks", "upstream's addresses"],
)
def test_the_hub_answers_pipelined_requests(
    root: Path, open_store: Callable[[str], HttpStore]
) -> None:
    with serving(root) as hub:
        check(open_store(hub.url))


def test_nginx_answers_pipelined_requests(root: Path, tmp_path: Path) -> None:
    with nginx_server(tmp_path / "nginx", root) as port:
        check(HttpStore(f"http://127.0.0.1:{port}/blocks"))
