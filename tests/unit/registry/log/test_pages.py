"""A page of the log ends at a number of bytes; whoever reads on by position gets all of it."""

import base64
import itertools
from pathlib import Path

import pytest
from sqlalchemy import delete

from registry.commands.export import export_log
from registry.errors import DamagedError
from registry.log.batch import Batch
from registry.log.entries import PAGE_BYTES, every_entry
from registry.state.tables import LOG_ENTRIES
from serving.commands.line import Line
from tests.helpers.registry.site import Site, make_site

SIZES = [400_000, 400_000, 10, 400_000, 1_500_000, 10, *([5] * 300)]


@pytest.fixture(scope="module")
def site() -> Site:
    """Return a registry with entries of many sizes."""
    found = make_site()
    with found.registry.database.writing() as connection:
        batch = Batch(connection, found.clock)
        for size in SIZES:
            batch.add("report", 0, {"x": "x" * size})
        batch.finish()
    return found


def read_page(site: Site, start: int) -> list[int]:
    """Return the sizes of the leaves of a page."""
    entries = site.get(f"/api/v1/log/entries?start={start}")["entries"]
    assert [entry["position"] for entry in entries] == list(range(start, start + len(entries)))
    return [len(base64.b64decode(entry["leaf"])) for entry in entries]


def test_a_page_has_a_budget_of_bytes_and_at_least_one_entry(site: Site) -> None:
    pages: list[list[int]] = []
    while sum(map(len, pages)) < len(SIZES):
        pages.append(read_page(site, sum(map(len, pages))))
    assert [len(page) for page in pages] == [3, 1, 1, 256, 45]
    assert all(sum(page) <= PAGE_BYTES or len(page) == 1 for page in pages)
    leaves = list(itertools.chain(*pages))
    assert all(0 < leaf - size < 100 for leaf, size in zip(leaves, SIZES, strict=True))
    assert read_page(site, len(SIZES)) == []
    assert len(site.get("/api/v1/log/entries?start=5&count=2")["entries"]) == 2


def test_the_whole_log_is_read_and_exported_by_pages(site: Site, tmp_path: Path) -> None:
    with site.registry.database.reading() as connection:
        whole = [entry.leaf for entry in every_entry(connection)]
    assert len(whole) == len(SIZES)
    assert export_log(site.registry, tmp_path / "log", Line()) == len(SIZES)
    assert (tmp_path / "log").read_bytes().splitlines() == whole


def test_an_export_of_a_log_with_a_hole_ends(tmp_path: Path) -> None:
    site = make_site()
    site.add_farm()
    with site.registry.database.writing() as connection:
        connection.execute(delete(LOG_ENTRIES))
    with pytest.raises(DamagedError, match="the log has no entry 0"):
        export_log(site.registry, tmp_path / "log", Line())
    assert list(tmp_path.iterdir()) == []
