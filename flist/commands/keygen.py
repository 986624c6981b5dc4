"""Make an Ed25519 key pair: the private key in FILE, the public key in FILE.pub."""

import argparse
import os
import sys

from common.files import write_atomic
from flist.errors import FlistError
from flist.format.signing.keys import generate_key, public_text
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=parse_path, metavar="FILE")


def run(options: argparse.Namespace) -> int:
    """Write both keys and print the public one."""
    public = options.file.with_name(options.file.name + ".pub")
    if os.path.lexists(public):
        raise FlistError(f"cannot write {public}: it exists already", hint="move it away")
    text = public_text(generate_key(options.file)) + "\n"
    try:
        write_atomic(public, text.encode())
    except BaseException:
        options.file.unlink()  # half a pair would stop the next attempt
        raise
    sys.stdout.write(text)
    return 0
