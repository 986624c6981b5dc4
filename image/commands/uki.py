"""`zos image uki`: give a UKI another command line."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from image.commands.signing import add_signing, open_signing

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    uki = verbs.add_parser(
        "uki",
        help="write a release's zos.efi with another kernel command line",
        description="Write a copy of zos.efi with the kernel parameters of one farm, and sign it. "
        "With Secure Boot on, no boot loader can add parameters to a UKI.",
    )
    uki.add_argument("uki", type=Path, metavar="FILE", help="a UKI, as zos.efi of a release")
    uki.add_argument(
        "--append", nargs="+", required=True, metavar="WORD", help="kernel parameters to add"
    )
    uki.add_argument("--output", type=Path, required=True, metavar="FILE")
    add_signing(uki)
    uki.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Write the UKI and print what a manifest would say of it."""
    from common.efi.pe import MAX_BYTES
    from image.files import read_file, write_file
    from image.release.unified import describe_uki, personalise

    signing = open_signing(args)
    uki = personalise(read_file(args.uki, MAX_BYTES), args.append, signing)
    write_file(args.output, uki)
    sys.stdout.write(json.dumps(describe_uki(uki, signing), indent=2) + "\n")
    return 0
