"""The scan of a directory."""

from pathlib import Path

import pytest

from flist.folders import Folders
from flist.model import Extent
from flist.pack.choice import Choice
from flist.pack.scan import Walk
from tests.helpers.flist.trees import MIB, make_sparse


@pytest.mark.parametrize("limit", [2, 3])
def test_a_file_with_too_many_holes_is_recorded_without_any(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr("flist.pack.scan.MAX_EXTENTS", limit)
    make_sparse(tmp_path / "file", 8 * MIB, [(at * MIB, b"x" * 4096) for at in (1, 3, 5)])
    with Folders(tmp_path) as folders:
        walk = Walk(folders, Choice())
        assert len(list(walk.run())) == 1
    found = [meta.extents for meta in walk.found.meta.values()]
    extents = tuple(Extent(at * MIB, 4096) for at in (1, 3, 5))
    assert found == ([] if limit == 2 else [extents])
