"""Settings that all tests share."""

import os
import signal

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


@pytest.fixture
def as_root() -> None:
    """Demand to be root, for `usefixtures`."""
    need_root()


@pytest.fixture
def own_cgroups() -> None:
    """Demand control groups that we may change, for `usefixtures`."""
    need_cgroups()
