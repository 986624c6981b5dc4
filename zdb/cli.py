"""`zos zdb COMMAND`: a table of commands, each imported only when it is used.

A command is a module with `add_arguments(parser)` and `run(options) -> exit status`.
"""

import argparse
import importlib
from collections.abc import Sequence
from typing import NamedTuple


class Command(NamedTuple):
    """A command's module and its summary."""

    module: str
    summary: str


COMMANDS = {
    "serve": Command("zdb.serve.command", "serve keys and values until SIGTERM or Ctrl-C"),
    "replicate": Command("zdb.replicate.command", "follow another server, and serve its copy"),
    "promote": Command("zdb.tools.commands.promote", "make a stopped replica a server of its own"),
    "check": Command("zdb.tools.commands.check", "compute everything again, and name all damage"),
    "repair": Command("zdb.tools.commands.repair", "make the index anew from the data"),
    "dump": Command("zdb.tools.commands.dump", "print what is in a file of a namespace"),
    "export": Command("zdb.tools.commands.export", "write namespaces as requests for any 0-db"),
    "import": Command("zdb.tools.commands.take", "do the requests of an export"),
}


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Serve keys and values from one disk, or look after its files."
    )
    names = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    wanted = next((word for word in argv if not word.startswith("-")), "")
    for name, command in COMMANDS.items():
        own = names.add_parser(name, help=command.summary, description=command.summary)
        if wanted in (name, ""):  # without a command: for who asks what there is
            importlib.import_module(command.module).add_arguments(own)
    options = parser.parse_args(argv)
    name = options.command
    del options.command
    status: int = importlib.import_module(COMMANDS[name].module).run(options)
    return status
