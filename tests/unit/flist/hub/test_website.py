"""Websites that cannot be shown are refused before the first byte, without a path of the hub."""

import hashlib
from pathlib import Path

from common.paths import cache_dir
from flist.model import Route
from flist.pack.pack import pack
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
