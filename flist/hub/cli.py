"""`zos hub`: serve flists and their blocks over HTTP, and look after the server.

Each command's module has NAME, HELP, `add_arguments(parser)` and `run(settings, options)`, where
`options` are the values of its own arguments.
"""

import argparse
from collections.abc import Sequence

from flist.hub.commands import (
    audit,
    check,
    export,
    gc,
    group,
    init,
    mirror,
    repository,
    serve,
    token,
    user,
)
from flist.hub.settings import HubSettings
from serving.settings import add_flags, load_settings

ABOUT = "Serve flists and their blocks over HTTP, and look after the server."
COMMANDS = (init, serve, gc, check, user, group, token, repository, audit, mirror, export)
OF_STATE = (user, group, token, repository, audit, mirror, export)
"""They name the hub by --root, and need no other settings on their command line."""


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command of the hub."""
    flags = vars(make_parser(prog).parse_args(argv))
    place, config, name = flags.pop("place", None), flags.pop("config"), flags.pop("command")
    command = next(command for command in COMMANDS if name == command.NAME)
    given = {key: value for key, value in flags.items() if key in HubSettings.model_fields}
    options = {key: value for key, value in flags.items() if key not in given}
    if place is not None:
        given["root"] = place
    status: int = command.run(load_settings(HubSettings, given, config), options)
    return status


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this verb's arguments."""
    parser = argparse.ArgumentParser(prog=prog, description=ABOUT)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        own = commands.add_parser(command.NAME, help=command.HELP)
        if command in OF_STATE:
            command.add_arguments(own)
            continue
        own.add_argument("place", nargs="?", metavar="ROOT", help="the same as --root")
        command.add_arguments(own)
        add_flags(own, HubSettings)
    return parser
