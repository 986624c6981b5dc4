"""`zos registry export`: the log, or the files of a month, for those who want to verify them."""

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select

from common.errors import UsageError
from common.files import open_atomic, write_atomic
from registry.commands.shared import add_state_flags, opened
from registry.errors import AbsentError, DamagedError
from registry.log.entries import read_entries
from registry.log.tiles import Tiles
from registry.names import days_of
from registry.settings import RegistrySettings
from registry.state.tables import NODES
from registry.views.registry import Registry
from serving.commands.line import Line

NAME, HELP = "export", "write the log to a file, or a month's availability to a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments beside the settings."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--log", type=Path, metavar="FILE", help="one leaf in a line; FILE.head is the signed head"
    )
    what.add_argument("--month", metavar="YYYY-MM", help="a month that is settled")
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder for the month's files")
    add_state_flags(parser)


def run(settings: RegistrySettings, options: dict[str, Any]) -> int:
    """Write what is asked for."""
    if options["month"] and options["output"] is None:
        raise UsageError("cannot tell where the files go", hint="--output DIR")
    with opened(settings) as registry, Line() as line:
        if options["log"]:
            count = export_log(registry, options["log"], line)
        else:
            count = export_month(registry, options["month"], options["output"], line)
    sys.stdout.write(f"{count}\n")
    return 0


def export_log(registry: Registry, path: Path, line: Line) -> int:
    """Write the log as it is now; return how many entries it has."""
    head = registry.log.head()
    with open_atomic(path) as stream:
        start = 0
        while start < head.size:
            start = write_entries(registry, stream, start, head.size)
            line.show("entries", start)
    write_atomic(path.with_name(f"{path.name}.head"), registry.log.sign(head).encode())
    return head.size


def write_entries(registry: Registry, stream: BinaryIO, start: int, end: int) -> int:
    """Write a page of leaves, of one that is kept no more its hash; return where to go on."""
    with registry.database.reading() as connection:
        tiles = Tiles(connection)
        entries = read_entries(connection, start, end - start)
        if not entries:
            raise DamagedError(f"the log has no entry {start}")
        for entry in entries:
            if entry.leaf is not None:
                stream.write(entry.leaf + b"\n")
                continue
            hash_ = base64.b64encode(tiles.read(0, entry.position)).decode()
            stream.write(json.dumps({"forgotten": hash_}).encode() + b"\n")
    return entries[-1].position + 1


def export_month(registry: Registry, month: str, folder: Path, line: Line) -> int:
    """Write the files of all nodes that had reported by then; return how many."""
    days_of(month)
    folder.mkdir(parents=True, exist_ok=True)
    with registry.database.reading() as connection:
        nodes = list(connection.execute(select(NODES.c.id).order_by(NODES.c.number)).scalars())
    count = 0
    for node in nodes:
        try:
            data = registry.availability.file(node, month)
        except AbsentError:
            continue  # it came later
        write_atomic(folder / f"{node}.{month}.json", data)
        count += 1
        line.show("files", count)
    return count
