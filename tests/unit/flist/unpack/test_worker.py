"""The workers of an unpack."""

from pathlib import Path

import pytest

from flist.errors import FlistError
from flist.folders import Folders
from flist.format.opening import open_flist
from flist.store.sources import Sources, wanted_routes
from flist.unpack.plan import make_plan
from flist.unpack.properties import Rules
from flist.unpack.worker import FileWorker
from tests.helpers.flist.faults import make_many_files, pack_into


def test_a_file_started_after_give_up_is_removed(tmp_path: Path) -> None:
    meta = pack_into(tmp_path, make_many_files(tmp_path / "tree", 1))
    out = tmp_path / "out"
    sources = Sources(cache=tmp_path / "cache", is_offline=True)
    with open_flist(meta) as flist:
        plan = make_plan(flist, b"")
        routes = wanted_routes(flist, sources)
    for folder in plan.folders:
        Path(str(out) + folder.path.decode()).mkdir()
    with Folders(out) as folders:
        rules = Rules(is_owner_kept=False, is_clean=True)
        worker = FileWorker([plan.files], frozenset(), routes, sources, rules, folders)
        worker.open()
        worker.give_up()
        entry = max(plan.files, key=lambda entry: entry.inode.size)
        with pytest.raises(FlistError, match="given up"):
            worker.restore(entry)
    assert not [path for path in out.rglob("*") if not path.is_dir()]
