"""Garbage collection: what goes, what stays, and that no upload loses its blocks to it."""

import os
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from flist.blocks.codec import digest
from flist.errors import StoreError
from flist.hub.library import collecting
from flist.hub.library.collecting import Upkeep, collect
from flist.hub.library.hub import Hub
from flist.hub.state.blocks import ABANDONED_S
from flist.hub.state.garbage import Collector, Garbage
from flist.hub.state.tables import BLOCKS, FILES, OBJECTS, UPLOADS, USES
from flist.server.names import name_block, name_file
from flist.store.folder import FolderStore
from tests.helpers.flist.hub import LocalHub, make_flist, make_hub

NEVER_S = 365 * 86400.0


@pytest.fixture(name="hub")
def serve(tmp_path: Path) -> LocalHub:
    return make_hub(tmp_path / "hub", keep_versions=1)


def make_old(hub: Hub) -> None:
    """Let everything be from long ago."""
    with hub.database.writing() as connection:
        connection.execute(update(BLOCKS).values(touched_s=1.0))
        connection.execute(update(OBJECTS).values(touched_s=1.0))
    for path in Path(str(hub.settings.root)).glob("blocks/*/*"):
        os.utime(path, (1, 1))


def stored(hub: Hub) -> set[str]:
    """Return the names of the blocks in the store, and check that their rows are the same."""
    names = {path.name for path in hub.settings.root.glob("blocks/*/*")}
    with hub.database.reading() as connection:
        rows = {bytes(row.id).hex() for row in connection.execute(select(BLOCKS.c.id))}
    assert rows == names
    return names


def publish(hub: LocalHub, folder: Path, content: str, name: str = "/alice/a.fl") -> bytes:
    """Publish a flist with one file."""
    data = make_flist(folder, hub.root, content)
    assert hub.send("PUT", name, data, user="alice").status == 201
    return data


def test_what_is_needed_stays_and_the_rest_goes(hub: LocalHub, tmp_path: Path) -> None:
    publish(hub, tmp_path, "first")
    first = stored(hub.hub)
    for content in ("second", "third"):
        publish(hub, tmp_path, content)
    needed = stored(hub.hub) - first  # one earlier version is kept
    for body in (b"whole file", b"SQLite format 3\0 but no flist"):
        hub.send("POST", "/api/v1/file", body, user="alice")
        needed.add(name_block(body))
    part = f"/api/v1/block?file_hash={name_file([name_block(b'part')])}&idx=0"
    hub.send("POST", part, b"part", user="alice")
    needed.add(name_block(b"part"))
    hub.send("POST", "/api/v1/block", b"nothing needs this", user="alice")
    assert collect(hub.hub, 60.0).removed == 0  # it is young
    make_old(hub.hub)
    before = stored(hub.hub)
    dry = collect(hub.hub, 60.0, is_dry=True)
    assert stored(hub.hub) == before
    found = collect(hub.hub, 60.0)
    assert (dry.removed, dry.removed_bytes) == (found.removed, found.removed_bytes)
    assert (found.removed, found.objects, found.failed) == (len(before - needed), 1, [])
    assert stored(hub.hub) == needed
    assert hub.send("GET", "/alice/a.fl").status == 200
    make_old(hub.hub)
    assert hub.send("DELETE", "/alice/a.fl", user="alice").status == 200
    collect(hub.hub, 60.0)
    assert len(stored(hub.hub)) == 3


def test_a_website_that_was_sent_in_parts_keeps_its_blocks(hub: LocalHub, tmp_path: Path) -> None:
    data = make_flist(tmp_path, hub.root, "a page")
    (page,) = (path.name for path in hub.root.glob("blocks/*/*"))
    body = (hub.root / "blocks" / page[:2] / page).read_bytes()
    hub.send("POST", "/api/v1/block", body, user="alice")
    name = name_file([name_block(data)])
    hub.send("POST", f"/api/v1/block?file_hash={name}&idx=0", data, user="alice")
    make_old(hub.hub)
    assert collect(hub.hub, 60.0).removed == 0
    assert stored(hub.hub) == {page, name_block(data)}


def test_orphans_go_when_they_are_old(hub: LocalHub) -> None:
    store = FolderStore(hub.root / "blocks")
    for body in (b"old", b"young"):
        store.put(digest(body), body)
    os.utime(store.path(name_block(b"old")), (1, 1))
    assert collect(hub.hub, 60.0).removed == 1
    assert not store.has(digest(b"old"))
    assert store.has(digest(b"young"))


def test_a_block_that_was_packed_into_the_folder_again_stays(hub: LocalHub) -> None:
    hub.send("POST", "/api/v1/block", b"block", user="alice")
    make_old(hub.hub)
    FolderStore(hub.root / "blocks").put(digest(b"block"), b"block")
    assert collect(hub.hub, 60.0).removed == 0


def test_what_the_store_refuses_to_remove_is_told_and_stays(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body in (b"one", b"two"):
        hub.send("POST", "/api/v1/block", body, user="alice")
    make_old(hub.hub)
    remove = FolderStore.remove

    def refuse(store: FolderStore, block_id: bytes) -> None:
        if block_id == digest(b"one"):
            raise StoreError("no")
        remove(store, block_id)

    monkeypatch.setattr(FolderStore, "remove", refuse)
    found = collect(hub.hub, 60.0)
    assert (found.removed, found.failed) == (1, [f"{name_block(b'one')}: no"])
    assert stored(hub.hub) == {name_block(b"one")}
    assert hub.send("POST", "/api/v1/block", b"one", user="alice").status == 200


def test_a_collector_that_died_holds_nobody_up(hub: LocalHub) -> None:
    """Its marks are taken over: by whoever needs a block, or by the next collector."""
    for body in (b"one", b"two", b"three"):
        hub.send("POST", "/api/v1/block", body, user="alice")
    marked_s = time.time() - ABANDONED_S - 1
    with hub.hub.database.writing() as connection:
        connection.execute(update(BLOCKS).values(touched_s=1.0, removing_s=marked_s))
    hub.hub.store.remove(digest(b"one"))  # type: ignore[attr-defined]  # it had come so far
    assert hub.hub.blocks.missing([digest(b"one")]) == {digest(b"one")}
    assert hub.send("POST", "/api/v1/block", b"one", user="alice").status == 201
    assert hub.hub.blocks.missing([digest(b"one"), digest(b"three")]) == set()
    os.utime(hub.root / "blocks" / name_block(b"two")[:2] / name_block(b"two"), (1, 1))
    assert collect(hub.hub, 60.0).removed == 1
    assert stored(hub.hub) == {name_block(b"one"), name_block(b"three")}


def test_a_mark_that_is_too_old_removes_nothing(hub: LocalHub) -> None:
    """The collector was stopped for so long that another may have taken its work over."""
    hub.send("POST", "/api/v1/block", b"one", user="alice")
    make_old(hub.hub)
    collector = Collector(hub.hub.blocks, time.time())
    marked = collector.mark([digest(b"one")], time.time() - ABANDONED_S)
    collector.remove_marked(marked, marked[0].changed_s)
    assert stored(hub.hub) == {name_block(b"one")}
    assert collector.found == Garbage(kept=1)


class Racer:
    """Uploads one block again and again and uses it, while collectors remove all they may."""

    def __init__(self, hub: LocalHub, name: str) -> None:
        self.hub = hub.hub
        self.viewer = hub.viewer(name)
        self.object = name * 8
        row = {"object": self.object, "account_id": self.viewer.account_id, "at_s": 0.0}
        with self.hub.database.writing() as connection:
            connection.execute(insert(FILES).values(row))  # else nobody needs what it uses
        self.body = b"the same block"
        self.block_id = digest(self.body)
        self.tries = 0

    def run(self, rounds: int) -> None:
        """Do so, and check that what is used is there."""
        for _ in range(rounds):
            while not self.use():
                self.tries += 1
            assert self.hub.store.get(self.block_id) == self.body
            with self.hub.database.writing() as connection:
                connection.execute(delete(USES).where(USES.c.object == self.object))

    def use(self) -> bool:
        """Upload the block and use it; return False if it was removed in between."""
        self.hub.blocks.put(self.viewer, self.block_id, self.body, is_open=True)
        with self.hub.database.writing() as connection:
            if self.hub.blocks.rely_on(connection, [self.block_id]):
                return False
            row = {"block": self.block_id, "object": self.object}
            connection.execute(insert(USES).values(row))
        return True


@pytest.mark.parametrize("rounds", [100, pytest.param(2000, marks=pytest.mark.matrix)])
def test_uploads_of_a_block_and_collectors_race(tmp_path: Path, rounds: int) -> None:
    """Collectors take even what was touched a moment ago, and what has no row."""
    hub = make_hub(tmp_path / "hub", is_in_memory=True)
    racers = [Racer(hub, name) for name in ("alice", "bob")]
    is_over = threading.Event()
    removed: list[int] = []

    def collect_all() -> None:
        while not is_over.is_set():
            collector = Collector(hub.hub.blocks, time.time() + NEVER_S)
            removed.append(collector.collect().removed)

    collectors = [threading.Thread(target=collect_all) for _ in range(2)]
    failed: list[BaseException] = []

    def race(racer: Racer) -> None:
        try:
            racer.run(rounds)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=race, args=(racer,)) for racer in racers]
    for thread in [*collectors, *threads]:
        thread.start()
    for thread in threads:
        thread.join(900)
    is_over.set()
    for thread in collectors:
        thread.join(60)
    assert not failed
    assert sum(removed) > rounds / 50
    with hub.hub.database.reading() as connection:
        assert connection.execute(select(BLOCKS.c.removing_s)).scalars().all() in ([], [None])
    collect(hub.hub, -NEVER_S)
    assert stored(hub.hub) == set()
    with hub.hub.database.reading() as connection:
        assert connection.execute(select(UPLOADS)).all() == []


def test_a_flist_that_came_as_a_file_before_its_blocks_keeps_them(
    hub: LocalHub, tmp_path: Path
) -> None:
    """Also if it was somebody else who sent it, and could not name its blocks yet."""
    (tmp_path / "other").mkdir()
    data = make_flist(tmp_path, tmp_path / "other", "content")
    assert hub.send("POST", "/api/v1/file", data, user="bob").status == 201
    blocks = {path.name: path.read_bytes() for path in tmp_path.glob("other/blocks/*/*")}
    for body in blocks.values():
        assert hub.send("POST", "/api/v1/block", body, user="alice").status == 201
    assert hub.send("PUT", "/alice/a.fl", data, user="alice").status == 201
    make_old(hub.hub)
    collect(hub.hub, 60.0)
    assert stored(hub.hub) == {*blocks, name_block(data)}


def test_upkeep_goes_on_after_an_unexpected_error(
    hub: LocalHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "TICK_S", 0.0)
    calls: list[None] = []

    def flush() -> None:
        calls.append(None)
        if len(calls) == 1:
            raise ValueError("a driver's own")
        upkeep.stopping.set()

    upkeep = Upkeep(hub.hub, flush)
    upkeep.run()
    assert len(calls) == 2
