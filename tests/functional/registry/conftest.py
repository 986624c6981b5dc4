"""A PostgreSQL for all tests of the registry."""

from collections.abc import Iterator

import pytest

from tests.helpers.services.postgres import Postgres, run_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with run_postgres() as server:
        yield server
