"""`zos image enroll`: make Secure Boot keys, and bring them to a machine or to OVMF."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from image.commands.signing import KEY

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    enroll = verbs.add_parser(
        "enroll",
        help="prepare a machine's Secure Boot keys",
        description="Write PK, KEK and db for a machine in setup mode: signed variables (.auth) "
        "and certificates (.cer), to be enrolled in the order db, KEK, PK.",
    )
    enroll.add_argument(
        "keys", type=Path, metavar="KEYS", help="folder with PK, KEK and db: .key and .crt (PEM)"
    )
    enroll.add_argument("--make-keys", metavar="OWNER", help="make the keys first, for this owner")
    enroll.add_argument("--output", type=Path, required=True, metavar="DIR")
    enroll.add_argument("--pk-key", metavar="KEY", help=f"key of PK (default: PK.key): {KEY}")
    enroll.add_argument("--kek-key", metavar="KEY", help="key of KEK (default: KEK.key)")
    enroll.add_argument(
        "--db",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="a further certificate (PEM) that db accepts, as Microsoft's for a card's firmware; "
        "can be repeated",
    )
    enroll.add_argument(
        "--ovmf", type=Path, metavar="FILE", help="also enroll in a copy of these OVMF variables"
    )
    enroll.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Write the files and print their names."""
    from image.efi.enroll import enroll, make_keys, write_ovmf_variables

    if args.make_keys:
        make_keys(args.keys, args.make_keys)
    files = enroll(
        args.output,
        args.keys,
        platform=args.pk_key or str(args.keys / "PK.key"),
        exchange=args.kek_key or str(args.keys / "KEK.key"),
        also=args.db,
    )
    if args.ovmf:
        variables = args.output / "OVMF_VARS.fd"
        write_ovmf_variables(args.ovmf, variables, args.keys, args.db)
        files.append(variables)
    sys.stdout.writelines(f"{path}\n" for path in files)
    return 0
