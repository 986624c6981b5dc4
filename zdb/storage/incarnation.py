"""Which life of a namespace this is: a random name that is new after each FLUSH and NSDEL.

It is in the file `zdb-incarnation` beside the index, which upstream ignores. A replica takes its
master's, and so can tell a namespace that was emptied from one that has lost data.
"""

import re
import secrets
from pathlib import Path

from common.files import read_regular, write_atomic

NAME = "zdb-incarnation"
PATTERN = re.compile(r"[0-9a-f]{32}")


def read_or_make(folder: Path) -> str:
    """Return the name of a namespace's life; make one if it has none."""
    try:
        text = read_regular(folder / NAME)[:100].decode("ascii", "replace").strip()
    except FileNotFoundError:
        text = ""
    if PATTERN.fullmatch(text):
        return text
    return write(folder, secrets.token_hex(16))


def write(folder: Path, text: str) -> str:
    """Write the name of a namespace's life, and return it."""
    write_atomic(folder / NAME, f"{text}\n".encode(), 0o600)
    return text
