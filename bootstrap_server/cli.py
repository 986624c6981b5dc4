"""`zos bootstrap`: boot images, release channels, and the machines that boot from them."""

import argparse
from collections.abc import Sequence

from bootstrap_server.commands import lan, lock, nodes, redfish, serve, token

VERBS = (serve, lan, nodes, redfish, token, lock)


def main(argv: Sequence[str], prog: str) -> int:
    """Run a verb and return its exit status."""
    args = make_parser(prog).parse_args(argv)
    status: int = args.run(args, prog)
    return status


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this command.

    Each module in `VERBS` has `add_parser(verbs)`, which sets `run`, a function of the arguments
    and the name of the command.
    """
    parser = argparse.ArgumentParser(prog=prog, description="Serve boot images and releases.")
    verbs = parser.add_subparsers(required=True, dest="verb", metavar="VERB")
    for verb in VERBS:
        verb.add_parser(verbs)
    return parser
