"""The modules that a mount needs only after it is up, so that it is up sooner.

Nothing may be imported from a directory that the mount hides: the thread that imports would wait
for an answer that only it can give, and the code would be the flist's.
"""

import contextlib
import sys
from collections.abc import Iterable
from pathlib import Path


def prepare_imports(targets: Iterable[Path]) -> None:
    """If modules are looked for in directories that a mount on the resolved `targets` will hide,
    import everything now, and look there no more."""
    hidden = [entry for entry in sys.path if is_inside(entry, targets)]
    if hidden:
        import_rest()
        sys.path[:] = [entry for entry in sys.path if entry not in hidden]


def is_inside(entry: str, targets: Iterable[Path]) -> bool:
    """Return whether an entry of `sys.path` (empty: the current directory) is in a mount point."""
    place = Path(entry).resolve()
    return any(place.is_relative_to(target) for target in targets)


def import_rest() -> None:
    """Import what reads, retries and the control socket need."""
    with contextlib.suppress(Exception):  # what needs a module will report the error
        import base64  # noqa: F401
        import json  # noqa: F401
        import random  # noqa: F401

        import cryptography.hazmat.primitives.ciphers  # noqa: F401

        import flist.blocks.codec  # noqa: F401
