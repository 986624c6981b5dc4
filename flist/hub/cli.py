"""`zos hub`: serve flists and their blocks over HTTP, and look after the server."""

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
from serving.commands.program import Program

PROGRAM = Program(
    about="Serve flists and their blocks over HTTP, and look after the server.",
    model=HubSettings,
    place="root",
    commands=(init, serve, gc, check, user, group, token, repository, audit, mirror, export),
    of_state=(user, group, token, repository, audit, mirror, export),
)


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command of the hub."""
    parser = argparse.ArgumentParser(prog=prog, description=PROGRAM.about)
    PROGRAM.add_commands(parser)
    return PROGRAM.run(vars(parser.parse_args(argv)))
