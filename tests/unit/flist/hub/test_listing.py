"""The list of all blocks: upstream's form, and exact pages."""

from pathlib import Path

import pytest

from flist.server import api
from flist.server.names import name_block
from tests.helpers.flist.hub import LocalHub, make_hub


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub")


def test_rows_are_names(hub: LocalHub) -> None:
    contents = [b"block %d" % number for number in range(5)]
    for content in contents:
        assert hub.send("POST", "/api/v1/block", content, user="alice").status == 201
    names = sorted(map(name_block, contents))
    answer = hub.get("/api/v1/blocks")
    assert answer == {"blocks": names, "total": 5, "page": 1, "per_page": 50}
    assert api.read_names(answer) == names
    pages = [hub.get(f"/api/v1/blocks?page={page}&per_page=2")["blocks"] for page in (1, 2, 3, 4)]
    assert pages == [names[:2], names[2:4], names[4:], []]
    assert hub.get("/api/v1/blocks?per_page=1000")["per_page"] == 100


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=²", "per_page=0", "page="])
def test_impossible_pages_are_refused(hub: LocalHub, query: str) -> None:
    assert hub.send("GET", f"/api/v1/blocks?{query}".replace("²", "%C2%B2")).status == 400


def test_the_rows_of_an_older_hub_are_read() -> None:
    assert api.read_names({"blocks": [["a" * 64, 0], "b" * 64]}) == ["a" * 64, "b" * 64]
