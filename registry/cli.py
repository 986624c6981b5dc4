"""`zos registry`: serve farms, nodes and their log, and look after them.

Each command's module has NAME, HELP, `add_arguments(parser)` and `run(settings, options)`, where
`options` are the values of its own arguments. `farm` is a client, which has no settings.
"""

import argparse
from collections.abc import Sequence

from registry.commands import check, export, farm, init, serve, shared, token
from registry.settings import RegistrySettings
from serving.settings import add_flags, load_settings

ABOUT = "Serve the registry of farms and nodes, and look after it."
COMMANDS = (init, serve, check, export, token)
OF_STATE = (check, export, token)
"""They name the registry by --state, and need no other settings on their command line."""


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command."""
    flags = vars(make_parser(prog).parse_args(argv))
    name = flags.pop("command")
    if name == farm.NAME:
        return farm.run_action(flags)
    place, config = flags.pop("place", None), flags.pop("config")
    command = next(command for command in COMMANDS if name == command.NAME)
    given = {key: value for key, value in flags.items() if key in RegistrySettings.model_fields}
    options = {key: value for key, value in flags.items() if key not in given}
    if place is not None:
        given["state"] = place
    status: int = command.run(load_settings(RegistrySettings, given, config), options)
    return status


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this verb's arguments."""
    parser = argparse.ArgumentParser(prog=prog, description=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        own = commands.add_parser(command.NAME, help=command.HELP)
        if command in OF_STATE:
            command.add_arguments(own)
            shared.add_state_flags(own)
            continue
        own.add_argument("place", nargs="?", metavar="STATE", help="the same as --state")
        command.add_arguments(own)
        add_flags(own, RegistrySettings)
    farm.add_arguments(commands.add_parser(farm.NAME, help=farm.HELP))
    return parser
