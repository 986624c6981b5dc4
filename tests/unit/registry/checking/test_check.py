"""`check` names what was changed behind the registry's back, whatever it is."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from registry.errors import DamagedError, RegistryError
from registry.log.merkle import leaf_hash
from registry.log.upkeep import Upkeep
from registry.names import DAY_S
from registry.state.tables import FARMS, LOG_ENTRIES, LOG_HEAD, LOG_TILES, NODES, UPTIME
from tests.helpers.registry.site import Site, make_site

Change = Callable[[Connection], object]


def make() -> Site:
    """Return a registry with more than one tile of entries."""
    site = make_site()
    site.add_farm()
    nodes = [site.add_node(seed=number, is_quick=True) for number in (3, 4)]
    for _ in range(150):
        site.now_s += 2400
        for node in nodes:
            assert node.report()[0] == 200
    return site


def set_leaf(position: int, change: Callable[[bytes], bytes], *, is_hashed: bool = False) -> Change:
    """Change a leaf; with `is_hashed` also its hash, as somebody with the database could."""

    def apply(connection: Connection) -> None:
        of = LOG_ENTRIES.c.position == position
        leaf = change(connection.execute(select(LOG_ENTRIES.c.leaf).where(of)).scalar_one())
        connection.execute(update(LOG_ENTRIES).where(of).values(leaf=leaf))
        if is_hashed:
            tile = (LOG_TILES.c.level == 0) & (LOG_TILES.c.number == position // 256)
            hashes = connection.execute(select(LOG_TILES.c.hashes).where(tile)).scalar_one()
            at = position % 256 * 32
            changed = hashes[:at] + leaf_hash(leaf) + hashes[at + 32 :]
            connection.execute(update(LOG_TILES).where(tile).values(hashes=changed))

    return apply


def change(statement: Any) -> Change:
    return lambda connection: connection.execute(statement)


CASES: dict[str, tuple[Change, str]] = {
    "a leaf": (set_leaf(9, lambda leaf: leaf + b" "), "entry 9 is not the one that was hashed"),
    "a leaf and its hash": (
        set_leaf(9, lambda leaf: leaf + b" ", is_hashed=True), "level 1 has a wrong hash at 0"
    ),
    "the last leaf and its hash": (
        set_leaf(302, lambda leaf: leaf + b" ", is_hashed=True), "not the root of its entries"
    ),
    "the time": (
        change(update(LOG_ENTRIES).where(LOG_ENTRIES.c.position == 9).values(at_s=1.0)),
        "another time or kind of entry 9",
    ),
    "the node": (
        change(update(LOG_ENTRIES).where(LOG_ENTRIES.c.position == 9).values(subject=2)),
        "entry 9 cannot be in this log: it is of another node",
    ),
    "an entry that is gone": (
        change(delete(LOG_ENTRIES).where(LOG_ENTRIES.c.position == 9)), "there are 302"
    ),
    "a farm's leaf that is gone": (
        change(update(LOG_ENTRIES).where(LOG_ENTRIES.c.position == 0).values(leaf=None)),
        "entry 0 cannot be in this log: its leaf is not there",
    ),
    "the root": (change(update(LOG_HEAD).values(root=bytes(32))), "not the root of its entries"),
    "the size": (change(update(LOG_HEAD).values(size=7)), "head has 7 entries"),
    "a tile": (
        change(delete(LOG_TILES).where(LOG_TILES.c.number == 1)),
        "tile 1 of level 0 has not the right size",
    ),
    "a farm's owner": (change(update(FARMS).values(owner="x")), "farm 1 has owner 'x'"),
    "a node's memory": (
        change(update(NODES).where(NODES.c.number == 2).values(mru=1)), "node 2 has mru 1"
    ),
    "a node's word": (
        change(update(NODES).where(NODES.c.number == 2).values(is_enrolled=True)),
        "node 2 has is_enrolled True",
    ),
    "a node": (change(delete(NODES).where(NODES.c.number == 2)), "node 2 is in the log, and not"),
    "a day": (change(update(UPTIME).values(up_ms=DAY_S * 1000)), "the account of node 1"),
    "a day that is gone": (change(delete(UPTIME)), "the account lacks a day"),
}  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Site:
    return make()


def test_a_registry_is_as_its_log_has_it(made: Site) -> None:
    checked = made.check()
    assert (checked.entries, checked.farms, checked.nodes, checked.forgotten) == (303, 1, 2, 0)


@pytest.mark.parametrize("name", CASES)
def test_the_first_difference_is_named(made: Site, name: str) -> None:
    apply, text = CASES[name]
    engine = made.registry.database.engine
    with engine.connect() as connection:
        raw: Any = connection.connection.driver_connection
        kept = raw.serialize()
    try:
        with made.registry.database.writing() as connection:
            apply(connection)
        with pytest.raises(DamagedError, match=text):
            made.check()
    finally:
        with engine.connect() as connection:
            restored: Any = connection.connection.driver_connection
            restored.rollback()
            restored.deserialize(kept)
    made.check()


def test_what_is_kept_as_hashes_only_is_still_checked() -> None:
    site = make_site(keep_months=1)
    site.add_farm()
    nodes = [site.add_node(seed=number, is_quick=True) for number in (3, 4)]
    upkeep = Upkeep(site.registry.database, site.registry.scribe, 1, site.clock)
    for step in range(70 * 6):  # reports every four hours until the middle of December
        site.now_s += 4 * 3600
        for node in nodes[: 1 if step > 100 else 2]:
            node.start() if step % 50 == 0 else None
            assert (node.register() if node.sequence == 0 else node.report())[0] == 200
    assert site.check().forgotten == 0
    head = site.get("/api/v1/log/head")
    count = upkeep.forget()
    assert count == site.check().forgotten > 250  # October
    assert upkeep.forget() == 0
    assert site.get("/api/v1/log/head") == head
    entries = site.get("/api/v1/log/entries")["entries"]
    assert (entries[0]["leaf"] is None, entries[1]["leaf"], entries[-1]["leaf"]) == (
        False,
        None,
        None,
    )
    assert site.get("/api/v1/log/inclusion?position=1")["path"]
    for node in nodes:
        node.start()
        assert node.register()[0] == 200
    assert site.check().nodes == 2


def test_a_log_that_was_written_anew_does_not_follow_an_earlier_head() -> None:
    site, other = make_site(), make_site()
    site.add_farm("one")
    other.add_farm("another")
    note = site.get("/api/v1/log/head")["note"]
    site.add_farm("two")
    site.registry.log.check_earlier(note)
    other.add_farm("two")
    other.check()  # in itself, it is sound
    with pytest.raises(DamagedError, match="first 1 entries are not those of the head"):
        other.registry.log.check_earlier(note)
    with pytest.raises(RegistryError, match="not signed by this registry"):
        other.registry.log.check_earlier(note.replace("zero-os-registry", "other"))
