"""Whether a folder follows a master: the file `zdb-replica` beside the namespaces' index folders.

A server that writes of its own must not use such a folder, and a replica must not use one that has
data of its own. Upstream looks at folders only and does not see the file.
"""

import json
from pathlib import Path
from typing import NamedTuple

from common.files import read_regular, sync_directory, write_atomic
from zdb.errors import DamagedError, ZdbError

NAME = "zdb-replica"


class Origin(NamedTuple):
    """The master of a folder: where it is, and the life of its namespace `default`."""

    master: str
    incarnation: str


def read(index: Path) -> Origin | None:
    """Return the master that a folder follows; None for a folder of its own."""
    path = index / NAME
    try:
        found = json.loads(read_regular(path))
        return Origin(str(found["master"]), str(found["incarnation"]))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise DamagedError(f"cannot read {path}: not the mark of a replica") from error


def write(index: Path, origin: Origin) -> None:
    """Say that a folder follows a master."""
    write_atomic(index / NAME, json.dumps(origin._asdict()).encode(), 0o600)


def promote(index: Path) -> Origin | None:
    """Make a folder one of its own; return the master that it has followed."""
    origin = read(index)
    if origin is not None:
        (index / NAME).unlink()
        sync_directory(index)
    return origin


def check(index: Path, is_replica: bool) -> None:
    """Raise if a folder follows a master, unless that is what the caller wants."""
    origin = None if is_replica else read(index)
    if origin is not None:
        raise ZdbError(
            f"cannot use {index.parent}: it is a replica of {origin.master}",
            hint="`zos zdb promote` makes it a server of its own",
        )
