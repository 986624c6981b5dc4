"""The databases that the tests of state run against."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootstrap_server.state.opening import open_state
from serving.database import Database
from tests.helpers.services.postgres import Postgres, run_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """Give an empty state: each test runs with each kind."""
    url = ""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").make_database()
    found = open_state(tmp_path / "state" if request.param == "sqlite" else None, url)
    yield found
    found.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Give the URL of an empty database that several processes can open."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres").make_database()
        return url
    return f"sqlite:///{tmp_path / 'shared.db'}"
