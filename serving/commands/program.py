"""The command of a server: a verb for each module, and settings for all of them.

A verb's module has NAME, HELP, `add_arguments(parser)` and `run(settings, options)`, where
`options` are the values of its own arguments.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from serving.settings import ServerSettings, add_flags, load_settings


@dataclass(frozen=True)
class Program:
    """`place` is the setting that the first argument is, too.

    Commands `of_state` name the state by flags of their own, and need no other settings on their
    command line.
    """

    about: str
    model: type[ServerSettings]
    place: str
    commands: Sequence[ModuleType]
    of_state: Sequence[ModuleType]

    def add_commands(self, parser: argparse.ArgumentParser) -> Any:
        """Add all verbs; return where further ones are added."""
        verbs = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
        for command in self.commands:
            own = verbs.add_parser(command.NAME, help=command.HELP)
            if command not in self.of_state:
                name = self.place
                own.add_argument(
                    "place", nargs="?", metavar=name.upper(), help=f"the same as --{name}"
                )
            command.add_arguments(own)
            if command not in self.of_state:
                add_flags(own, self.model)
        return verbs

    def run(self, flags: dict[str, Any]) -> int:
        """Run the verb that was parsed; return its exit status."""
        place, config, name = flags.pop("place", None), flags.pop("config"), flags.pop("command")
        command = next(command for command in self.commands if name == command.NAME)
        given = {key: value for key, value in flags.items() if key in self.model.model_fields}
        options = {key: value for key, value in flags.items() if key not in given}
        if place is not None:
            given[self.place] = place
        status: int = command.run(load_settings(self.model, given, config), options)
        return status
