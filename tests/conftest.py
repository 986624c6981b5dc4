"""Settings that all tests share."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.helpers.needs import need_cgroups, need_root

# In CI the same examples each time: a new one that fails belongs to whoever looks for it, not to
# the change that happens to be tested. No deadline: how long an example takes says nothing here.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# What runs in the background of a shell without job control is started with these ignored, and so
# would be all that tests start and mean to interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:  # nohup; for us it stays without effect
    signal.signal(signal.SIGHUP, lambda _number, _frame: None)


@pytest.fixture
def as_root() -> None:
    """Demand to be root, for `usefixtures`."""
    need_root()


@pytest.fixture
def own_cgroups() -> None:
    """Demand control groups that we may change, for `usefixtures`."""
    need_cgroups()


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Make an empty folder that every user may enter; `tmp_path` is for its owner alone."""
    with tempfile.TemporaryDirectory(prefix="zos-test-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)
