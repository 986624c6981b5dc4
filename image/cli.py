"""`zos image`: build, inspect, sign and publish releases."""

import argparse
from collections.abc import Sequence

from image.commands import (
    approve,
    audit,
    build,
    check,
    core,
    diff,
    enroll,
    gc,
    history,
    inspect,
    keys,
    lock,
    mirror,
    pcrs,
    promote,
    publish,
    renew,
    rollback,
    sign,
    status,
    uki,
    update,
    verify,
    withdraw,
)
from image.commands import set as set_flists

VERBS = (
    build,
    core,
    set_flists,
    check,
    inspect,
    diff,
    audit,
    lock,
    update,
    mirror,
    uki,
    sign,
    enroll,
    pcrs,
    keys,
    publish,
    promote,
    rollback,
    withdraw,
    renew,
    approve,
    status,
    history,
    verify,
    gc,
)


def main(argv: Sequence[str], prog: str) -> int:
    """Run one verb of `zos image` and return its exit status."""
    args = make_parser(prog).parse_args(argv)
    status: int = args.run(args, prog)
    return status


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this command.

    Each module in `VERBS` has `add_parser(verbs)`, which sets `run`, a function of the arguments
    and the name of the command.
    """
    parser = argparse.ArgumentParser(
        prog=prog, description="Build, inspect, sign and publish releases of Zero-OS."
    )
    verbs = parser.add_subparsers(required=True, dest="verb", metavar="VERB")
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser
