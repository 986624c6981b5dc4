"""The hub on PostgreSQL: its tables, and several servers and collectors on one database."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select, text

from flist.blocks.codec import digest
from flist.hub.library.checking import check_hub
from flist.hub.library.collecting import collect
from flist.hub.library.hub import open_hub
from flist.hub.settings import HubSettings
from flist.hub.state.opening import open_state
from flist.hub.state.tables import BLOCKS, METADATA, USES
from flist.hub.web.rfs.files import Files
from serving.database import Database
from tests.helpers.flist.hub import TOKEN, fetch, make_flist, make_hub, make_root
from tests.helpers.flist.mount import rfs, serving
from tests.helpers.services.postgres import Postgres, run_postgres

NAMES = ("alice", "bob")
ROUNDS = 8
DEADLINE_S = 240
BLOCKED_S = 2.0


@pytest.fixture(scope="module", name="postgres")
def serve_postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest, postgres: Postgres) -> str:
    """Return the URL of an empty PostgreSQL database, or none for an SQLite file."""
    return postgres.make_database() if request.param == "postgresql" else ""


def differences(database: Database) -> list[object]:
    """Return how the tables differ from those that the code wants."""
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, METADATA))


def test_the_migrations_make_the_tables_that_the_code_wants(tmp_path: Path, url: str) -> None:
    for _ in range(2):  # the second time, there is nothing to do
        database = open_state(tmp_path, url)
        assert differences(database) == []
        with database.reading() as connection:
            rows = connection.execute(text("SELECT version_num FROM alembic_version")).all()
        assert len(rows) == 1
        database.close()


def run_racer(root: Path, url: str, task: str, name: str, rounds: int) -> "subprocess.Popen[str]":
    """Start one process of the race."""
    call = [
        sys.executable,
        "-m",
        "tests.functional.flist.hub.state.racing",
        str(root),
        url,
        task,
        name,
    ]
    return subprocess.Popen([*call, str(rounds)], stdout=subprocess.PIPE, text=True)


def test_servers_and_collectors_race_and_nothing_is_lost(
    tmp_path: Path, postgres: Postgres
) -> None:
    """Each process is a server of its own; they share the database and the store."""
    url, store = postgres.make_database(), f"dir://{tmp_path}/store"
    hub = make_hub(tmp_path / "own", database=url, store=store).hub
    racers = [run_racer(tmp_path, url, "publish", name, ROUNDS) for name in NAMES]
    collectors = [run_racer(tmp_path, url, "collect", f"c{n}", DEADLINE_S) for n in range(2)]
    try:
        assert [racer.wait(DEADLINE_S) for racer in racers] == [0, 0]
    finally:
        for process in [*racers, *collectors]:
            process.terminate()
            process.wait(60)
            assert process.stdout is not None
            process.stdout.close()
    with hub.database.writing() as connection:  # of collectors that were ended half-way
        connection.execute(BLOCKS.update().values(removing_s=None, touched_s=1.0))
    assert check_hub(hub).problems == []
    collect(hub, -DEADLINE_S)
    with hub.database.reading() as connection:
        kept = {bytes(row.id).hex() for row in connection.execute(select(BLOCKS.c.id))}
        used = {bytes(row.block).hex() for row in connection.execute(select(USES.c.block))}
    assert kept == used == {path.name for path in (tmp_path / "store").glob("*/*")}
    hub.close()


def test_two_servers_on_one_database_and_store(tmp_path: Path, postgres: Postgres) -> None:
    url, store = postgres.make_database(), f"dir://{tmp_path}/store"
    words = ("--database", url, "--store", store)
    first = make_root(tmp_path / "first", database=url, store=store)
    (tmp_path / "second").mkdir()
    meta = tmp_path / "made.fl"
    with (
        serving(first, "127.0.0.1:0", *words) as one,
        serving(tmp_path / "second", "127.0.0.1:0", *words) as two,
    ):
        make_flist(tmp_path, tmp_path, "content")
        rfs("clone", "-m", meta, "-s", f"server://{one.url}?token={TOKEN}")
        data = meta.read_bytes()
        rfs("publish", "-m", meta, "-s", one.url, "--token", TOKEN, "me/tree.fl")
        assert fetch(f"{two.url}/me/tree.fl") == data
        one.process.kill()
        one.process.wait(60)
        assert fetch(f"{two.url}/api/flist") == b'["me/tree.fl"]'
        rfs("publish", "-m", meta, "-s", two.url, "--token", TOKEN, "me/again.fl")
    hub = open_hub(HubSettings(root=first, database=url, store=store))
    assert check_hub(hub).problems == []
    hub.close()


def test_parts_named_while_a_file_is_kept_do_not_damage_it(
    tmp_path: Path, postgres: Postgres
) -> None:
    local = make_hub(tmp_path / "hub", database=postgres.make_database())
    hub, mallory = local.hub, local.viewer("bob")
    part = digest(b"part")
    hub.blocks.put(mallory, part, b"part", is_open=True)
    draft = hub.contents.receive([b"a file"])
    hub.contents.send(mallory, draft)
    files = Files(hub.database)
    with ThreadPoolExecutor(1) as pool:
        with hub.database.writing() as connection:
            hub.contents.keep(mallory, connection, draft, "")
            noted = pool.submit(files.note, mallory, draft.digest, {7: part.hex()})
            wait([noted], BLOCKED_S)
        assert noted.result(DEADLINE_S) is False
    assert hub.contents.path(draft.digest).read_bytes() == b"a file"
    hub.close()
