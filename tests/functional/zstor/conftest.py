"""A server for all tests of a module, and namespaces for each of them."""

from collections.abc import Iterator

import pytest

from tests.helpers.zstor.farm import Farm, farm


@pytest.fixture(scope="module", name="server")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    with farm(tmp_path_factory.mktemp("farm")) as made:
        yield made


@pytest.fixture(name="four")
def empty_namespaces(server: Farm) -> Farm:
    """Return a farm of six data namespaces, of which most tests use four, and five for metadata."""
    server.remake(6, 5)
    return server
