"""Check a flist: its signature (if a key is named), its metadata, and every block that it needs.

The flist may be an address (http://...). Without a key, no signature is checked, but one that is
there must be one of this file. Blocks come from the stores, not from a cache, and each store that
should have a block is asked. Each fault is printed; the status is 1 if there are any.
"""

import argparse
import contextlib
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import BinaryIO

from common.text import printable
from flist.commands.shared.options import (
    add_key_options,
    add_sources,
    parse_meta,
    read_sources,
    signature_check,
)
from flist.commands.shared.progress import ByteProgress
from flist.unpack.verify import Report, verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "-m", "--meta", type=parse_meta, required=True, metavar="FILE|URL", help="the flist"
    )
    add_key_options(parser)
    add_sources(parser, has_cache=False)
    parser.add_argument(
        "--no-blocks", action="store_true", help="check only signature and metadata"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(options: argparse.Namespace) -> int:
    """Verify, and print each fault."""
    with contextlib.ExitStack() as stack:
        if isinstance(options.meta, str):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="flist-")))
            fetch_meta(options, folder)
        names: list[str] = []
        check = signature_check(options) or partial(note_names, names)
        sources = None if options.no_blocks else read_sources(options)
        with ByteProgress("verifying") as progress:
            report = verify(options.meta, sources, progress.update, check)
    show(report, describe_signature(options, names), options)
    return 1 if report.faults else 0


def fetch_meta(options: argparse.Namespace, folder: Path) -> None:
    """Fetch the flist at an address, and its signature, and put their paths into the options."""
    from flist.store.metadata import fetch_flist

    done = fetch_flist(options.meta, folder, is_signed=options.signature is None)
    for connection in done.connections:
        connection.close()
    options.meta = done.meta  # its signature is beside it, if there is one


def note_names(names: list[str], path: Path, stream: BinaryIO) -> None:
    """Note the names under which a flist says that it is signed; raises `SignatureError` for a
    signature that can't be good."""
    from flist.format.signing.trust import read_names

    names += read_names(path, stream)


def describe_signature(options: argparse.Namespace, names: list[str]) -> str:
    """Return what is known about the flist's signature."""
    if options.key is not None:
        return f"signed as {options.name}"
    claims = f"; it says that it is signed as {', '.join(names)}" if names else ""
    return f"no signature was checked, since no key was named (--key){claims}"


def show(report: Report, said: str, options: argparse.Namespace) -> None:
    """Print the result."""
    if options.json:
        row = {**report._asdict(), "signature": options.name if options.key is not None else None}
        sys.stdout.write(json.dumps(row) + "\n")
        return
    for fault in report.faults:
        sys.stdout.write(printable(fault) + "\n")
    lacking = f", {report.lacking} of them not in all of their stores" if report.lacking else ""
    summary = f"checked {report.inodes} entries and {report.blocks} blocks{lacking}; {said}"
    sys.stderr.write(printable(summary) + "\n")
