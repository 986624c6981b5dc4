"""The registry's tables on both databases; two servers on one PostgreSQL, with one log."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from registry.state.opening import open_state
from registry.state.tables import TABLES
from tests.helpers.registry.served import Client, serving, zos
from tests.helpers.registry.site import Farmer, Node, make_site
from tests.helpers.services.postgres import Postgres

ROUNDS = 5


@pytest.fixture(name="url", params=["sqlite", "postgresql"])
def make_url(request: pytest.FixtureRequest, postgres: Postgres) -> str:
    """Return the URL of an empty PostgreSQL database, or none for an SQLite file."""
    return postgres.make_database() if request.param == "postgresql" else ""


def test_the_migrations_make_the_tables_that_the_code_wants(tmp_path: Path, url: str) -> None:
    for _ in range(2):  # the second time, there is nothing to do
        database = open_state(tmp_path, url)
        with database.reading() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, list(TABLES)) == []  # type: ignore[arg-type]
        database.close()


def test_farms_nodes_and_the_log_are_the_same_on_both(tmp_path: Path, url: str) -> None:
    site = make_site(database=open_state(tmp_path, url))
    for number in range(3):
        site.add_farm(f"farm{number}")
    nodes = [site.add_node(farm, seed=farm + 5, is_quick=True) for farm in (1, 2, 3)]
    for _ in range(90):
        site.now_s += 2400
        for node in nodes:
            assert node.report()[0] == 200
    site.now_s += 40 * 86400
    assert [site.get(f"/api/v1/nodes/{node.id}/availability/2026-10") for node in nodes]
    assert site.check().entries == 276
    assert site.get(f"/api/v1/nodes/{nodes[0].id}/availability")[-1]["up_ms"] == 90 * 2_400_000
    site.registry.close()


def test_a_text_that_the_database_lacks_spoils_nobody_elses_report(
    tmp_path: Path, url: str
) -> None:
    site = make_site(database=open_state(tmp_path, url))
    site.add_farm()
    node = site.make_node()
    assert node.register(dmi={"vendor": "a\0b"})[0] == 200  # kept as JSON
    assert node.register(dmi={"vendor": "\ud800"})[0] == 422
    assert node.register(hypervisor="a\0b")[0] == 422
    assert node.register(interfaces=[{"name": "\ud800", "mac": ""}])[0] == 422
    assert site.check().nodes == 1
    site.registry.close()


def test_two_servers_write_one_log(tmp_path: Path, postgres: Postgres) -> None:
    url = postgres.make_database()
    state = tmp_path / "state"
    words = ("--database", url, "--key", state / "registry.key")
    zos("init", state, "--database", url)
    with serving(state, *words, log="one") as one, serving(state, *words, log="two") as two:
        client = Client([one, two])
        assert client("POST", "/api/v1/farms", Farmer(1).message("one"))[0] == 201
        nodes = [Node(Client([one, two]), time.time) for _ in range(8)]

        def run(node: Node) -> list[int]:
            """Let a node's reports go to both servers in turn."""
            return [node.register()[0], *(node.report()[0] for _ in range(ROUNDS))]

        with ThreadPoolExecutor(len(nodes)) as pool:
            results = list(pool.map(run, nodes))
        assert results == [[200] * (ROUNDS + 1)] * len(nodes)
        assert one.stop() == two.stop() == 0
    said = zos("check", "--state", state, "--database", url)
    assert said.startswith(f"{1 + len(nodes) * (ROUNDS + 1)} entries")
