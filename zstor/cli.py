"""`zos zstor`, and `zstor` with upstream's command line: its commands."""

import argparse
import sys
from collections.abc import Sequence

from common.ending import leave
from common.errors import run_command
from zstor.commands import check, delete, keygen, retrieve, scrub, status, store, test
from zstor.commands.shared import parse_path
from zstor.config import load_config
from zstor.errors import ConfigError
from zstor.pipeline.vault import Vault

ABOUT = "Store files dispersed over many zdb servers, and read them back from what is left."
COMMANDS = (store, retrieve, check, delete, scrub, status, test)


def entry() -> int:
    """Run `zstor`."""
    return leave(run_command(lambda argv: main(argv, "zstor"), sys.argv[1:], "zstor"))


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command and return its exit status."""
    options = make_parser(prog).parse_args(argv)
    if options.command == keygen.NAME:
        return keygen.run(options)
    if options.config is None:
        raise ConfigError(f"cannot {options.command}: the configuration is missing", hint="-c FILE")
    command = next(command for command in COMMANDS if options.command == command.NAME)
    with Vault(load_config(options.config)) as vault:
        status: int = command.run(vault, options)
    return status


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this verb's arguments."""
    parser = argparse.ArgumentParser(prog=prog, description=ABOUT)
    parser.add_argument(
        "-c", "--config", type=parse_path, metavar="FILE", help="the configuration, in TOML"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in (*COMMANDS, keygen):
        own = commands.add_parser(command.NAME, help=command.HELP, description=command.__doc__)
        command.add_arguments(own)
    return parser
