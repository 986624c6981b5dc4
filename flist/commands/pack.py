"""Make a flist of a directory: metadata into one small file, content as blocks into stores."""

import argparse
import json
import sys
from pathlib import Path

from flist.commands.options import add_meta
from flist.commands.progress import ByteProgress
from flist.pack import pack
from flist.store.routed import parse_route


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser, "the flist to write")
    parser.add_argument(
        "-s", "--store", dest="stores", action="append", required=True, metavar="[hh-hh=]URL",
        help="where blocks go; with a range only those whose id starts in it; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--no-strip-password", action="store_true", help="keep passwords in the flist's routes"
    )
    parser.add_argument("--tag", dest="tags", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--processes", type=int, default=0, help="default: one per processor")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("target", type=Path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Pack."""
    routes = [parse_route(text) for text in options.stores]
    tags = dict(text.partition("=")[::2] for text in options.tags)
    with ByteProgress("packing") as progress:
        done = pack(
            options.target, options.meta, routes, tags=tags, processes=options.processes,
            keep_passwords=options.no_strip_password, progress=progress.update,
        )  # fmt: skip
    if options.json:
        sys.stdout.write(json.dumps(done._asdict()) + "\n")
    else:
        sys.stderr.write(
            f"packed {done.inodes} entries, {done.size_bytes} bytes, {done.distinct} blocks\n"
        )
    return 0
