"""Make an Ed25519 key pair: FILE holds the private key, FILE.pub the public one."""

import argparse
import sys

from common.files import write_atomic
from flist.commands.values import parse_path
from flist.sign import generate_key, public_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=parse_path, metavar="FILE")


def run(options: argparse.Namespace) -> int:
    """Write both keys and print the public one."""
    text = public_text(generate_key(options.file)) + "\n"
    write_atomic(options.file.with_name(options.file.name + ".pub"), text.encode())
    sys.stdout.write(text)
    return 0
