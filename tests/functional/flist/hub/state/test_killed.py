"""A server that is killed between any two steps loses nothing, and leaves nothing half there.

A child process uploads, publishes, removes and collects garbage. It ends at its n-th step: before
or after a change of the store, the database or a file. What it leaves is checked, and another
process then does all of it.
"""

import contextlib
import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select

from flist.hub.library.checking import check_hub
from flist.hub.library.collecting import collect
from flist.hub.library.hub import Hub, open_hub
from flist.hub.settings import HubSettings
from flist.hub.state import blocks, garbage
from flist.hub.state.tables import BLOCKS
from flist.hub.web.rfs.files import keep_file
from flist.store.folder import FolderStore
from serving.database import Database
from tests.helpers.flist.hub import TOKEN, make_flist, make_root

NEVER_S = 365 * 86400.0
KILLED, DONE = 9, 0


class Steps:
    """Counts steps, and ends the process at step `last`; 0: never."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.count = 0

    def take(self) -> None:
        """Take a step."""
        self.count += 1
        if self.count == self.last:
            os._exit(KILLED)

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` with a step before and one after it."""

        def counted(*words: Any, **named: Any) -> Any:
            self.take()
            result = call(*words, **named)
            self.take()
            return result

        return counted

    def install(self) -> None:
        """Count the changes of store, database and files in this process."""
        for name in ("put", "remove", "write"):
            setattr(FolderStore, name, self.around(getattr(FolderStore, name)))
        writing = Database.writing

        @contextlib.contextmanager
        def counted(database: Database) -> Iterator[Connection]:
            with writing(database) as connection:
                yield connection
                self.take()
            self.take()

        Database.writing = counted  # type: ignore[method-assign,assignment]
        Path.replace = self.around(Path.replace)  # type: ignore[method-assign]


def work(hub: Hub, flists: list[bytes]) -> None:
    """Upload, publish two versions, remove and publish again, and collect garbage."""
    viewer = hub.tokens.find_viewer(TOKEN)
    draft = hub.contents.receive([b"an uploaded file"])
    keep_file(hub, viewer, draft)
    draft.discard()
    for data in flists:
        draft = hub.contents.receive([data])
        hub.flists.publish(viewer, "me", "a.fl", draft)
        draft.discard()
    hub.flists.roll_back(viewer, "me", "a.fl", hub.flists.history(viewer, "me", "a.fl")[1].digest)
    hub.flists.delete(viewer, "me", "a.fl")
    collect(hub, -NEVER_S)


def run_child(root: Path, flists: list[bytes], last: int) -> int:
    """Work in a child that ends at step `last`; return its status."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 1
    try:
        blocks.ABANDONED_S = 0.0  # nobody else runs: what is marked was left by a dead one
        garbage.MARK_S = 60.0
        Steps(last).install()
        hub = open_hub(HubSettings(root=root))
        work(hub, flists)
        status = DONE
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def check(root: Path) -> None:
    """Check that nothing is lost or half there."""
    hub = open_hub(HubSettings(root=root))
    assert check_hub(hub).problems == []
    hub.close()


@pytest.mark.parametrize("pace", [11, pytest.param(1, marks=pytest.mark.matrix)])
def test_a_killed_server_loses_nothing(tmp_path: Path, pace: int) -> None:
    before = make_root(tmp_path / "before")
    texts = ("first", "second")
    flists = [make_flist(tmp_path, before, text) for text in texts]
    packed = tmp_path / "packed"
    shutil.copytree(before / "blocks", packed)
    began, last, status = time.monotonic(), 1, KILLED
    while status == KILLED:
        root = tmp_path / f"root{last}"
        shutil.copytree(before, root)
        status = run_child(root, flists, last)
        assert status in (KILLED, DONE)
        check(root)
        shutil.copytree(packed, root / "blocks", dirs_exist_ok=True)  # the client packs again
        assert run_child(root, flists, 0) == DONE
        check(root)
        hub = open_hub(HubSettings(root=root))
        with hub.database.reading() as connection:
            rows = {bytes(row.id).hex() for row in connection.execute(select(BLOCKS.c.id))}
        hub.close()
        assert rows == {path.name for path in root.glob("blocks/*/*")}
        assert len(rows) == 1  # of the uploaded file
        shutil.rmtree(root)
        last += pace
    assert last > 50, f"only {last} steps in {time.monotonic() - began:.0f} s"
