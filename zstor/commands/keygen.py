"""Make a pair of keys: the secret one in FILE, the public one in FILE.pub.

Who has only the public key (encryption.recipient) can store, but not read. Reading needs the secret
key (encryption.identity).
"""

import argparse
import os
from pathlib import Path

from common.files import write_atomic
from zstor.codec.keys import make_identity
from zstor.errors import ZstorError

NAME = "keygen"
HELP = "make a pair of keys: who stores needs only the public one"
MODE = 0o600


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", type=Path, metavar="FILE", help="where the secret key goes")


def run(options: argparse.Namespace) -> int:
    """Write both keys."""
    secret: Path = options.file
    public = secret.with_name(secret.name + ".pub")
    for path in (secret, public):
        if os.path.lexists(path):
            raise ZstorError(f"cannot write {path}: it exists already", hint="move it away")
    identity = make_identity()
    write_atomic(secret, identity.text().encode(), MODE)
    write_atomic(public, identity.recipient().text().encode())
    return 0
