"""Show which backends answer, and how full they are."""

import argparse
import sys
from functools import partial
from typing import NamedTuple

from zstor.backends.zdb import Namespace
from zstor.commands.shared import print_json
from zstor.errors import BackendError
from zstor.model import Backend
from zstor.pipeline.vault import Vault

NAME = "status"
HELP = "show which backends answer, and how full they are"
HEADINGS = ("backend", "is for", "reachable", "objects", "used", "free")


class Row(NamedTuple):
    """What is shown of a backend; None where it does not answer, or has no limit."""

    backend: str
    is_for: str
    reachable: bool
    objects: int | None = None
    used: int | None = None
    free: int | None = None
    error: str | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--json", action="store_true", help="print JSON, one backend a line")


def run(vault: Vault, options: argparse.Namespace) -> int:
    """Print a table of all backends."""
    rows = ask_all(vault)
    if options.json:
        for row in rows:
            print_json(row._asdict())
    else:
        sys.stdout.write(table([HEADINGS, *map(cells, rows)]))
    return 0


def ask_all(vault: Vault) -> list[Row]:
    """Ask all backends at the same time."""
    wanted = [(backend, "data") for backend in vault.backends.values()]
    wanted += [(backend, "metadata") for backend in vault.config.stores]
    answers = vault.pool.run([partial(vault.servers.info, backend) for backend, _ in wanted])
    return [make_row(*who, answer) for who, answer in zip(wanted, answers, strict=True)]


def make_row(backend: Backend, is_for: str, answer: Namespace | BackendError) -> Row:
    """Return what is shown of a backend."""
    name = str(backend.place)
    if isinstance(answer, BackendError):
        return Row(name, is_for, False, error=answer.message)
    free = answer.free if answer.limit else None
    return Row(name, is_for, True, answer.entries, answer.used, free)


def cells(row: Row) -> tuple[str, ...]:
    """Return a row's texts."""
    if not row.reachable:
        return (row.backend, row.is_for, "no", "-", "-", row.error or "")
    free = "no limit" if row.free is None else f"{row.free:,}"
    return (row.backend, row.is_for, "yes", f"{row.objects:,}", f"{row.used:,}", free)


def table(rows: list[tuple[str, ...]]) -> str:
    """Return the lines of a table."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows)
    return "".join(f"{line.rstrip()}\n" for line in lines)
