"""Sign a flist: writes FILE.sig, which binds the file's SHA-256 to a name."""

import argparse
import sys
from pathlib import Path

from common.files import write_atomic
from flist.commands.options import add_meta
from flist.sign import load_private_key, sign_flist


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    parser.add_argument("-k", "--key", type=Path, required=True, help="private key of `keygen`")
    parser.add_argument("-n", "--name", required=True, help="such as tf-zos/production")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="default: META.sig")


def run(options: argparse.Namespace) -> int:
    """Sign, and print where the signature is."""
    text = sign_flist(options.meta, options.name, load_private_key(options.key))
    place = options.output or options.meta.with_name(options.meta.name + ".sig")
    write_atomic(place, text.encode())
    sys.stdout.write(f"{place}\n")
    return 0
