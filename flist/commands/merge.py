"""Merge flists into one. If two have the same path, the first wins. No block is copied."""

import argparse
import contextlib
import sys

from flist.format.merge import merge
from flist.format.opening import open_flist
from flist.format.writer import write_flist
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-o", "--output", type=parse_path, required=True, metavar="FILE")
    parser.add_argument("metas", type=parse_path, nargs="+", metavar="FLIST", help="the first wins")


def run(options: argparse.Namespace) -> int:
    """Merge."""
    with contextlib.ExitStack() as stack:
        flists = [open_flist(meta) for meta in options.metas]
        for flist in flists:
            stack.callback(flist.close)
        content = merge(flists)
    write_flist(options.output, content)
    sys.stderr.write(f"{len(content.inodes)} entries\n")
    return 0
