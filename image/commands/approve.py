"""`zos image approve`: add signatures to the change that waits for them."""

import argparse
import sys
import time
from typing import TYPE_CHECKING

from image.commands.store import add_store, read_place

if TYPE_CHECKING:
    from image.channel.place import Place
    from image.channel.repository import Change, Repository
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
    with read_place(args) as place:
        return approve(place, is_dropped=args.drop)


def approve(place: "Place", *, is_dropped: bool) -> int:
    """Show the change that waits; sign it if there are keys, or forget it."""
    from image.channel.staging import drop_staged, load_staged, sign_staged

    keyring = place.keyring()
    if is_dropped:
        with place.hold("signing"):
            drop_staged(place.layout)
        return 0
    if not place.keys:
        show(place.open(), load_staged(place.layout))
        return 0
    with place.hold("signing"):
        repository = place.open()
        change = load_staged(place.layout)
        show(repository, change)
        if change is not None:
            sign_staged(repository, keyring, time.time())
    if change is not None:
        sys.stdout.write("done: signed and published\n")
    return 0


def show(repository: "Repository", change: "Change | None") -> None:
    """Print what a change does, as its metadata says."""
    from image.channel.staging import describe_change

    if change is None:
        sys.stdout.write("no change waits for signatures\n")
        return
    sys.stdout.writelines(f"{line}\n" for line in describe_change(repository, change))
    sys.stdout.flush()
