"""Settings and fixtures of all tests."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.needs import need_cgroups, need_root

# CI uses the same examples every time, so that a new failing example is not blamed on the change
# under test. There is no deadline: on a busy machine the duration of an example shows nothing.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# A shell without job control starts background processes with these signals ignored, and the
# processes that tests start and interrupt would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
if (
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
):  # nohup; keep ignoring it here, but not in child processes
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs every machine, not one of each kind."""
    parser.addoption("--matrix", action="store_true", help="also run the tests marked `matrix`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `matrix`, unless they are asked for."""
    if config.getoption("--matrix"):
        return
    left_out = [item for item in items if item.get_closest_marker("matrix")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture
def as_root() -> None:
    """Require root, for `usefixtures`."""
    need_root()


@pytest.fixture
def own_cgroups() -> None:
    """Require writable control groups, for `usefixtures`."""
    need_cgroups()


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Yield an empty folder that every user may enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="zos-test-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)
