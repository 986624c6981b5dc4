"""`zos image keys`: make, list and rotate the keys that sign channels."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from common.runmodes import RUN_MODES
from image.commands.shared import parse_folder
from image.commands.store import add_signing, add_store, read_place

if TYPE_CHECKING:
    from image.commands.shared import Verbs

ROLES = ("root", "targets", "snapshot", "timestamp", *RUN_MODES)


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser("keys", help="make, list and rotate the keys that sign channels")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_init(commands)
    add_make(commands)
    add_list(commands)
    add_rotate(commands)


def add_init(commands: "Verbs") -> None:
    """Add `keys init`."""
    init = commands.add_parser(
        "init",
        help="make the first keys and empty channels",
        description="Make a key for each role (two for root) in a folder, and a store with empty "
        "channels. A key file that is there already is used, and so is a ROLE.uri file with the "
        "PKCS#11 URI of a token's key.",
    )
    add_store(init)
    init.add_argument(
        "--keys", type=parse_folder, required=True, metavar="DIR", help="folder of the key files"
    )
    init.add_argument(
        "--encrypt", action="store_true", help="encrypt the key files with a passphrase"
    )
    init.set_defaults(run=run_init)


def run_init(args: argparse.Namespace, _prog: str) -> int:
    """Make keys and channels."""
    from common.files import write_atomic
    from image.channel.keys import demand_new, initialise, make_keys
    from image.channel.place import ROOT_FILE, open_folder
    from image.release.store import hold_store

    layout = open_folder(args.store, must_exist=False)
    with hold_store(layout, "making the first keys"):
        demand_new(layout)
        keys = make_keys(args.keys, is_encrypted=args.encrypt)
        root = initialise(layout, keys, time.time())
        write_atomic(args.keys / ROOT_FILE, root)
    sys.stdout.write(
        f"channels in {args.store}, private keys in {args.keys}\n"
        f"{args.keys / ROOT_FILE} is the trusted root: build it into releases, give it to servers\n"
        "move the keys of root and targets to offline places, and each channel's to its publisher\n"
    )
    return 0


def add_make(commands: "Verbs") -> None:
    """Add `keys make` and `keys public`."""
    make = commands.add_parser("make", help="make one key: NAME.pem, and NAME.pub for others")
    make.add_argument("file", type=Path, metavar="FILE", help="NAME.pem")
    make.add_argument("--encrypt", action="store_true", help="encrypt it with a passphrase")
    make.set_defaults(run=run_make)
    show = commands.add_parser("public", help="print the public key of a file or token")
    show.add_argument("key", metavar="KEY", help="key file or PKCS#11 URI")
    show.set_defaults(run=run_public)


def run_make(args: argparse.Namespace, _prog: str) -> int:
    """Make a key."""
    from image.channel.signers import make_key

    signer = make_key(args.file, is_encrypted=args.encrypt)
    sys.stdout.write(f"{signer.public_key.keyid}\n")
    return 0


def run_public(args: argparse.Namespace, _prog: str) -> int:
    """Print a public key, as `keys rotate --add` takes it."""
    from image.channel.signers import load_public, public_text

    sys.stdout.write(public_text(load_public(args.key)))
    return 0


def add_list(commands: "Verbs") -> None:
    """Add `keys list`."""
    show = commands.add_parser("list", help="list the keys of all roles")
    add_store(show)
    show.add_argument("--json", action="store_true", help="print a list of JSON objects")
    show.set_defaults(run=run_list)


def run_list(args: argparse.Namespace, _prog: str) -> int:
    """List the keys of all roles."""
    from image.channel.keys import list_keys

    with read_place(args) as place:
        holders = list_keys(place.open())
    if args.json:
        sys.stdout.write(json.dumps([asdict(holder) for holder in holders], indent=2) + "\n")
        return 0
    for it in holders:
        must = f"{it.threshold} must sign, valid until {it.expires}"
        sys.stdout.write(f"{it.role:<10} {it.keyid[:16]} {it.scheme:<20} {must}\n")
    return 0


def add_rotate(commands: "Verbs") -> None:
    """Add `keys rotate`."""
    rotate = commands.add_parser(
        "rotate",
        help="change the keys of a role",
        description="Add and remove keys of a role. Root's keys sign a change of the four upper "
        "roles, the keys of targets that of a channel; the new keys sign, too.",
    )
    rotate.add_argument("role", choices=ROLES, help="role")
    add_signing(rotate)
    rotate.add_argument(
        "--add", action="append", default=[], metavar="KEY", help="new key: .pem, .pub or URI"
    )
    rotate.add_argument(
        "--remove", action="append", default=[], metavar="ID", help="id of a key, or its beginning"
    )
    rotate.add_argument("--threshold", type=int, metavar="N", help="how many keys must sign")
    rotate.set_defaults(run=run_rotate)


def run_rotate(args: argparse.Namespace, _prog: str) -> int:
    """Rotate the keys of a role."""
    from image.channel.keys import rotate
    from image.channel.signers import load_public

    new = [load_public(source) for source in args.add]
    args.keys += [source for source in args.add if not source.endswith(".pub")]
    with read_place(args) as place:
        change = place.change(
            f"rotating the keys of {args.role}",
            lambda repository: rotate(
                repository,
                args.role,
                time.time(),
                add=new,
                remove=args.remove,
                threshold=args.threshold,
            ),
        )
    sys.stdout.write(f"done: {change.what}\n")
    return 0
