"""Websites that cannot be shown are refused before the first byte, without a path of the hub."""

import asyncio
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from common.paths import cache_dir
from flist.blocks.codec import encode
from flist.errors import BlockError
from flist.hub.web.rfs.website import DecodedChunks
from flist.model import Route
from flist.pack.pack import pack
from serving.pools import Pool
from tests.helpers.flist.hub import LocalHub, make_hub


def upload(hub: LocalHub, data: bytes) -> str:
    """Upload a file; return its name."""
    assert hub.send("POST", "/api/v1/file", data, user="alice").status == 201
    return hashlib.sha256(data).hexdigest()


def test_what_is_no_flist_makes_no_website(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub")
    place = str(cache_dir("runs"))
    for data in (b"no flist", b"SQLite format 3\0" + bytes(5000)):
        answer = hub.send("GET", f"/website/{upload(hub, data)}/")
        assert answer.status == 404
        assert place not in answer.text


def test_a_page_whose_blocks_are_not_there_is_not_begun(tmp_path: Path) -> None:
    hub = make_hub(tmp_path / "hub")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "index.html").write_text("<p>page")
    meta, blocks = tmp_path / "a.fl", hub.root / "blocks"
    pack(tmp_path / "tree", meta, [Route(0, 255, f"dir://{blocks}")], processes=1)
    page = next(path for path in blocks.glob("*/*") if path.is_file())
    address = f"/website/{upload(hub, meta.read_bytes())}/"
    assert hub.send("GET", address).body == b"<p>page"
    page.unlink()
    assert hub.send("GET", address).status == 404


def test_a_chunk_in_memory_is_only_for_who_has_its_key() -> None:
    plain = os.urandom(1000)
    found = encode(plain)

    class Store:
        def get(self, _block_id: bytes) -> bytes:
            return bytes(found.data)

    store: Any = Store()

    async def ask() -> None:
        chunks = DecodedChunks(store, Pool(1))
        assert await chunks.get(found.block, len(plain)) == plain
        with pytest.raises(BlockError):
            await chunks.get(found.block._replace(key=bytes(32)), len(plain))

    asyncio.run(ask())
