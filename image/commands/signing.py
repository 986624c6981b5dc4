"""The options of verbs that sign EFI binaries."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import UsageError

if TYPE_CHECKING:
    from image.release.unified import Signing

KEY = "a PEM file, or a URI pkcs11:token=T;object=KEY?module-path=LIBRARY.so&pin-source=FILE"


def add_signing(parser: argparse.ArgumentParser) -> None:
    """Add the options of who signs a UKI."""
    parser.add_argument(
        "--secure-boot-key", metavar="KEY", help=f"RSA key that signs for Secure Boot: {KEY}"
    )
    parser.add_argument(
        "--secure-boot-certificate", type=Path, metavar="FILE", help="its certificate (PEM)"
    )
    parser.add_argument(
        "--pcr-key",
        metavar="KEY",
        help="RSA key that signs the foretold PCR 11, for secrets that are sealed to this key",
    )


def open_signing(args: argparse.Namespace) -> "Signing":
    """Return who signs, by the options. Raises `ZosError` before any work is done."""
    from common.efi.sources import open_key, open_signer
    from image.release.unified import Signing

    key, certificate = args.secure_boot_key, args.secure_boot_certificate
    if (key is None) != (certificate is None):
        raise UsageError("--secure-boot-key and --secure-boot-certificate go together")
    return Signing(
        open_signer(key, certificate) if key else None,
        open_key(args.pcr_key) if args.pcr_key else None,
    )
