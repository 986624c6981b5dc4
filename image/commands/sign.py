"""`zos image sign`: sign an EFI binary for Secure Boot."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from image.commands.signing import KEY

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    sign = verbs.add_parser(
        "sign",
        help="sign an EFI binary for Secure Boot",
        description="Sign any EFI binary that has no signature: a UKI, or a boot loader. The same "
        "key and file give the same bytes.",
    )
    sign.add_argument("binary", type=Path, metavar="FILE", help="the EFI binary")
    sign.add_argument("--key", required=True, metavar="KEY", help=f"RSA key: {KEY}")
    sign.add_argument("--certificate", type=Path, required=True, metavar="FILE", help="PEM")
    sign.add_argument("--output", type=Path, required=True, metavar="FILE")
    sign.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Write the signed binary."""
    from common.efi.authenticode import sign_image
    from common.efi.pe import MAX_BYTES
    from common.efi.sources import open_signer
    from image.files import read_file, write_file

    signer = open_signer(args.key, args.certificate)
    write_file(args.output, sign_image(read_file(args.binary, MAX_BYTES), signer))
    return 0
