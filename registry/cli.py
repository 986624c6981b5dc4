"""`zos registry`: serve farms, nodes and their log, and look after them.

`farm` is a client, which has no settings.
"""

import argparse
from collections.abc import Sequence

from registry.commands import check, export, farm, init, serve, token
from registry.settings import RegistrySettings
from serving.commands.program import Program

PROGRAM = Program(
    about="Serve the registry of farms and nodes, and look after it.",
    model=RegistrySettings,
    place="state",
    commands=(init, serve, check, export, token),
    of_state=(check, export, token),
)


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog=prog, description=PROGRAM.about)
    verbs = PROGRAM.add_commands(parser)
    farm.add_arguments(verbs.add_parser(farm.NAME, help=farm.HELP))
    flags = vars(parser.parse_args(argv))
    return farm.run_action(flags) if flags["command"] == farm.NAME else PROGRAM.run(flags)
