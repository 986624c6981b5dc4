"""Imports the modules of the daemon that are not needed for a start.

After an upgrade a module that is imported for the first time would be that of the new version, and
might not fit those that run. So all are imported soon after the boot.
"""

import importlib
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ROOMS = ("files", "life", "process", "log", "control")
# PyYAML takes more memory than all others together, and the seam is for type checking only.
APART = ("zinit.files.fullyaml", "zinit.life.seam")


def find_modules() -> "Iterator[str]":
    """Return the names of the modules in the daemon's rooms."""
    top = os.path.dirname(os.path.dirname(__file__))
    for room in ROOMS:
        for file in sorted(os.listdir(f"{top}/{room}")):
            stem, dot, suffix = file.partition(".")
            name = f"zinit.{room}.{stem}"
            if dot and suffix in ("py", "pyc") and stem.isidentifier() and name not in APART:
                yield name.removesuffix(".__init__")


def import_one(names: "Iterator[str]") -> bool:
    """Import the next of `names`; return whether there was one."""
    name = next(names, "")
    if name:
        importlib.import_module(name)
    return bool(name)


def import_all() -> None:
    """Import all of them."""
    names = find_modules()
    while import_one(names):
        pass
