"""The whole command line of `zos` as values: each command with its options and arguments.

They are read from the parsers that the verbs use, so they can't differ from them. A verb builds its
parser when it is called; here it is called without running: its parser is caught before it parses.
"""

import argparse
import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from zero_os.cli import VERBS


@dataclass(frozen=True, slots=True)
class Option:
    """An option (`flags`), or an argument (no flags); `argument` names its value, if it has one."""

    flags: tuple[str, ...]
    argument: str
    help: str
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A command of several words, as ("zos", "image", "build")."""

    words: tuple[str, ...]
    summary: str
    usage: str
    description: str = ""
    options: tuple[Option, ...] = ()
    subcommands: tuple[str, ...] = ()


class CaughtError(Exception):
    """Carries the parser that a verb has built."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def all_commands() -> list[Command]:
    """Return every command, each before its subcommands."""
    top = Command(("zos",), "the tools of Zero-OS", "zos VERB [ARGUMENT ...]",
                  subcommands=tuple(VERBS))  # fmt: skip
    found = [top]
    for name, verb in VERBS.items():
        found += SPECIAL.get(name, from_parser)(("zos", name), verb.summary)
    return found


def from_parser(words: tuple[str, ...], summary: str) -> Iterator[Command]:
    """Yield the commands of a verb whose `main` uses argparse."""
    module = importlib.import_module(VERBS[words[1]].module)
    yield from walk(catch_parser(module.main, [], " ".join(words)), words, summary)


def plain(words: tuple[str, ...], summary: str) -> Iterator[Command]:
    """Yield a verb that passes its arguments on."""
    yield Command(words, summary, f"{' '.join(words)} [ARGUMENT ...]")


def from_flist(words: tuple[str, ...], summary: str) -> Iterator[Command]:
    """Yield the commands of `zos flist`."""
    from flist.cli import COMMANDS, main

    prog = " ".join(words)
    yield Command(words, summary, f"{prog} COMMAND ...", subcommands=tuple(COMMANDS))
    for name, command in COMMANDS.items():
        yield from walk(catch_parser(main, [name], prog), (*words, name), command.summary)


def from_zinit(words: tuple[str, ...], summary: str) -> Iterator[Command]:
    """Yield the commands of `zos zinit`, which has a parser of its own."""
    from zinit.client.cli import COMMANDS

    prog = " ".join(words)
    names = tuple(name for name in COMMANDS if name.isalpha())
    socket = Option(("-s", "--socket"), "SOCKET", "the daemon's socket")
    yield Command(words, summary, f"{prog} [-s SOCKET] COMMAND ...", "", (socket,), names)
    for name in names:
        known = COMMANDS[name]
        options = tuple(zinit_options(known.flags))
        usage = " ".join([prog, name, *known.arguments])
        yield Command((*words, name), known.summary, usage, options=options)


def zinit_options(flags: Mapping[str, str]) -> Iterator[Option]:
    """Yield the options of a command of zinit; flags with the same meaning are one option."""
    for meaning in dict.fromkeys(flags.values()):
        same = tuple(flag for flag, other in flags.items() if other == meaning)
        yield Option(same, meaning[:-1].upper() if meaning.endswith("=") else "", "")


SPECIAL: dict[str, Callable[[tuple[str, ...], str], Iterator[Command]]] = {
    "flist": from_flist,
    "zinit": from_zinit,
    "test": plain,
    "check": plain,
    "bench": plain,
}


def catch_parser(
    main: Callable[[Sequence[str], str], int], argv: Sequence[str], prog: str
) -> argparse.ArgumentParser:
    """Return the parser that `main` would parse `argv` with."""

    def catch(parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        raise CaughtError(parser)

    original = argparse.ArgumentParser.parse_args
    argparse.ArgumentParser.parse_args = catch  # type: ignore[method-assign,assignment]
    try:
        main(argv, prog)
    except CaughtError as caught:
        return caught.parser
    finally:
        argparse.ArgumentParser.parse_args = original  # type: ignore[method-assign]
    raise AssertionError(f"{prog} has no parser")


def walk(
    parser: argparse.ArgumentParser, words: tuple[str, ...], summary: str
) -> Iterator[Command]:
    """Yield the command of a parser, then those of its subparsers."""
    formatter = parser._get_formatter()
    options, below = [], {}
    helps: dict[str, str] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            below = dict(action.choices)
            helps = {row.dest: row.help or "" for row in action._choices_actions}
        elif action.help != argparse.SUPPRESS:
            options.append(read_option(action, formatter))
    usage = " ".join(parser.format_usage().removeprefix("usage:").split())
    yield Command(words, summary, usage, parser.description or "", tuple(options), tuple(below))
    for name, inner in below.items():
        yield from walk(inner, (*words, name), helps.get(name, ""))


def read_option(action: argparse.Action, formatter: argparse.HelpFormatter) -> Option:
    """Return an action of argparse as a value."""
    has_value = action.nargs != 0
    name = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    shown = (name if isinstance(name, str) else " ".join(name)) if has_value else ""
    text = formatter._expand_help(action) if action.help else ""
    choices = tuple(map(str, action.choices or ()))
    return Option(tuple(action.option_strings), shown, text, choices)
