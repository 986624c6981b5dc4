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
    top = os.path.dirname(os.path.dirname(__file__))
    return [name for room in ROOMS for name in list_modules(f"{top}/{room}", f"zinit.{room}")]


def list_modules(folder: str, package: str) -> list[str]:
    """Return the names of the modules in the folder of a package; raises OSError."""
    found = []
    for file in sorted(os.listdir(folder)):
        stem, dot, suffix = file.partition(".")
        name = f"{package}.{stem}"
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
    """Import all of them, and those above the rooms, which start the daemon."""
    top = os.path.dirname(os.path.dirname(__file__))
    names = find_modules() + list_modules(top, "zinit")
    while import_one(names):
        pass
