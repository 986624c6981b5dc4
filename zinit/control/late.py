"""Imports the modules of the daemon that are not needed for a start.

After an upgrade a module that is imported for the first time would be that of the new version, and
might not fit those that run. So all are imported soon after the boot.
"""

import importlib
import os

ROOMS = ("files", "life", "process", "log", "control")
# PyYAML takes more memory than all others together, and the seam is for type checking only.
APART = ("zinit.files.fullyaml", "zinit.life.seam")


def find_modules() -> list[str]:
    """Return the names of the modules in the daemon's rooms; raises OSError."""
    found = []
    top = os.path.dirname(os.path.dirname(__file__))
    for room in ROOMS:
        for file in sorted(os.listdir(f"{top}/{room}")):
            stem, dot, suffix = file.partition(".")
            name = f"zinit.{room}.{stem}"
            if dot and suffix in ("py", "pyc") and stem.isidentifier() and name not in APART:
                found.append(name.removesuffix(".__init__"))
    return found


def import_one(names: list[str]) -> bool:
    """Import the last of `names` and remove it; return whether there was one.

    It stays if it cannot be read (OSError), as when no descriptor is free.
    """
    if not names:
        return False
    try:
        importlib.import_module(names[-1])
    except OSError:
        raise
    except BaseException:
        names.pop()
        raise
    names.pop()
    return True


def import_all() -> None:
    """Import all of them."""
    names = find_modules()
    while import_one(names):
        pass
