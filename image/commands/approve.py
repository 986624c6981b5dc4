"""`zos image approve`: add signatures to the change that waits for them."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from image.commands.store import add_store

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "approve",
        help="sign the change that waits for further keys",
        description="Show the change that waits for further signatures; with --keys sign it. With "
        "the last signature that it needs, it is published.",
    )
    add_store(parser)
    parser.add_argument(
        "--keys",
        action="append",
        default=[],
        metavar="KEYS",
        help="key file, folder of key files, or PKCS#11 URI; can be repeated",
    )
    parser.add_argument("--drop", action="store_true", help="forget the change instead")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Show, sign or forget the change that waits."""
    from image.channel.place import Place, open_layout
    from image.channel.staging import describe_change, drop_staged, load_staged, sign_staged
    from image.release.store import hold_store

    place = Place(open_layout(args.store), args.keys)
    keyring = place.keyring()
    with hold_store(place.layout, "signing"):
        if args.drop:
            drop_staged(place.layout)
            return 0
        repository = place.open()
        change = load_staged(place.layout)
        if change is None:
            sys.stdout.write("no change waits for signatures\n")
            return 0
        sys.stdout.writelines(f"{line}\n" for line in describe_change(repository, change))
        sys.stdout.flush()
        if args.keys:
            sign_staged(repository, keyring, time.time())
            sys.stdout.write("done: signed and published\n")
    return 0
