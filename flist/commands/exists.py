"""Check whether stores have a block (by its id), or every block of a file or a flist.

The status is 0 if all blocks are there, else 1. `-s http://...` is a server with upstream's API, as
for `upload`: its blocks are plain and of --block-size. Without -s that is http://localhost:8080.
"""

import argparse
import json
import re
import sys
from pathlib import Path

from common.errors import UsageError
from flist.blocks.codec import check_arrival, encode
from flist.commands.shared.servers import DEFAULT_SERVER, add_block_size, connected
from flist.commands.shared.targets import add_targets
from flist.format.opening import open_flist
from flist.format.sqlitefile import MAGIC
from flist.model import CHUNK_BYTES
from flist.server.transfer import name_blocks
from flist.store.routed import open_routes, parse_route
from flist.values import is_hash


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_targets(parser, "--server", is_required=False)
    add_block_size(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("what", metavar="FILE|ID|FLIST")


def block_ids(what: str) -> list[bytes]:
    """Return the ids of the blocks of a file or a flist, or the one id that `what` is."""
    if re.fullmatch(r"[0-9a-f]{64}|[0-9a-f]{32}", what):
        return [bytes.fromhex(what)]
    path = Path(what)
    if not path.is_file():
        raise UsageError(f"{what!r} is neither a file nor the id of a block")
    with path.open("rb") as stream:
        if stream.read(len(MAGIC)) == MAGIC:
            with open_flist(path) as flist:
                return list(dict.fromkeys(block.id for _, block in flist.all_blocks()))
        stream.seek(0)
        return [encode(chunk).block.id for chunk in iter(lambda: stream.read(CHUNK_BYTES), b"")]


def run(options: argparse.Namespace) -> int:
    """Print the missing blocks."""
    options.targets = options.targets or [DEFAULT_SERVER]
    if options.targets[0].startswith(("http://", "https://")):
        return ask_server(options)
    store = open_routes([parse_route(text) for text in options.targets], check_arrival)
    try:
        ids = block_ids(options.what)
        missing = [block_id for block_id in ids if not store.has(block_id)]
    finally:
        store.close()
    return report([block_id.hex() for block_id in missing], len(ids), options)


def ask_server(options: argparse.Namespace) -> int:
    """Do the same for a server: look for a local file's blocks, or a block or file by its hash."""
    with connected(options.targets[0]) as client:
        if is_hash(options.what):
            names = client.blocks_of(options.what) or [options.what]
        else:
            names = name_blocks(Path(options.what), options.block_size)
        missing = client.missing(names)
    return report(sorted(missing), len(names), options)


def report(missing: list[str], total: int, options: argparse.Namespace) -> int:
    """Print the missing blocks; return the status."""
    if options.json:
        sys.stdout.write(json.dumps({"blocks": total, "missing": missing}) + "\n")
        return 1 if missing else 0
    for name in missing:
        sys.stdout.write(f"missing {name}\n")
    sys.stderr.write(f"{total - len(missing)} of {total} blocks are there\n")
    return 1 if missing else 0
