"""The parts of pyroute2 that a node uses, imported without the rest.

`import pyroute2` loads the whole library, some 350 modules, which takes two seconds of every boot
on an emulated processor. Its submodules work without the package's `__init__`, so an empty module
replaces it.
"""

import importlib.util
import sys
import types


def import_narrowly(name: str) -> None:
    """Make the submodules of package `name` importable without running its `__init__`."""
    spec = importlib.util.find_spec(name)
    if name in sys.modules or spec is None or spec.submodule_search_locations is None:
        return
    module = types.ModuleType(name)
    module.__path__ = list(spec.submodule_search_locations)
    module.__spec__ = spec
    sys.modules[name] = module


import_narrowly("pyroute2")

from pyroute2.iproute.linux import AsyncIPRoute  # noqa: E402 - after the line above
from pyroute2.netlink.exceptions import NetlinkError  # noqa: E402

__all__ = ["AsyncIPRoute", "NetlinkError"]
