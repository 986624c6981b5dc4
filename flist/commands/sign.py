"""Sign a flist under a name: write FILE.sig, or with --inside put the signature into the flist.

A flist may hold signatures by several keys, so that a new key can be added before the old one is
retired. Commands that change the flist (`config`, `clone`) remove them.
"""

import argparse
import sys

from common.errors import UsageError
from common.files import write_atomic
from flist.commands.shared.options import add_meta
from flist.commands.shared.services import add_strict, report_services, services_of_flist
from flist.format.opening import open_flist
from flist.format.signing.keys import load_private_key
from flist.format.signing.sign import sign_flist, sign_inside
from flist.values import parse_path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser)
    parser.add_argument(
        "-k", "--key", type=parse_path, required=True, help="private key of `keygen`"
    )
    parser.add_argument("-n", "--name", required=True, help="such as tf-zos/production")
    parser.add_argument("-o", "--output", type=parse_path, metavar="FILE", help="default: META.sig")
    parser.add_argument("--inside", action="store_true", help="put the signature into the flist")
    parser.add_argument(
        "--replace", action="store_true", help="with --inside: remove all other signatures"
    )
    add_strict(parser)


def run(options: argparse.Namespace) -> int:
    """Sign, and print the path of the signature."""
    if options.key.suffix == ".pub":
        raise UsageError(
            f"cannot sign with {options.key}: it is the public key",
            hint=f"-k {options.key.with_suffix('')}",
        )
    open_flist(options.meta).close()
    services = services_of_flist(options.meta)
    report_services(services, is_strict=options.strict, what=f"sign {options.meta}")
    if options.inside:
        if options.output:
            raise UsageError("cannot sign: --inside and --output exclude each other")
        key = load_private_key(options.key)
        sign_inside(options.meta, options.name, key, are_others_kept=not options.replace)
        sys.stdout.write(f"{options.meta}\n")
        return 0
    if options.replace:
        raise UsageError("cannot sign: --replace is for --inside")
    text = sign_flist(options.meta, options.name, load_private_key(options.key))
    place = options.output or options.meta.with_name(options.meta.name + ".sig")
    write_atomic(place, text.encode())
    sys.stdout.write(f"{place}\n")
    return 0
