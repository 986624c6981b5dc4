"""Parses the arguments of the `zinit` command, with upstream's flags and usage errors.

A small parser instead of argparse: `zinit init` is how PID 1 starts in a container, and importing
argparse would take longer than everything else.
"""

from zinit.client import DEFAULT_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zinit.client.line import Client

NO_SUBCOMMAND = ""


class UsageError(Exception):
    """Arguments that make no command."""


class Subcommand:
    """One subcommand: its arguments (`NAME`, or `[NAME]` if it is optional), and its flags."""

    __slots__ = ("arguments", "flags", "run", "summary")

    def __init__(
        self,
        run: "Callable[[Options], int]",
        arguments: str = "",
        summary: str = "",
        flags: "dict[str, str] | None" = None,
    ) -> None:
        self.run = run  # returns the exit status
        self.arguments = arguments.split()
        self.summary = summary  # empty: the description in the daemon's table of commands
        self.flags = flags or {}  # as typed -> its name, which ends in `=` if it takes a value


class Options:
    """The parsed arguments."""

    def __init__(self, prog: str) -> None:
        self.prog = prog
        self.socket = DEFAULT_SOCKET
        self.name = NO_SUBCOMMAND
        self.words: list[str] = []
        self.flags: dict[str, str] = {}

    @property
    def client(self) -> "Client":
        """A client of the daemon."""
        from zinit.client.line import Client

        return Client(self.socket)


def parse(
    words: list[str], options: Options, subcommands: "Mapping[str, Subcommand]"
) -> Subcommand:
    """Fill `options` from `words` and return the subcommand; raises UsageError."""
    options.name = parse_global(words, options)
    subcommand = subcommands.get(options.name)
    if subcommand is None:
        raise UsageError(
            f"Found argument '{options.name}' which wasn't expected, or isn't valid in this context"
        )
    while words:
        word = words.pop(0)
        if word == "--":
            options.words += words
            break
        key, value = split_flag(word)
        if key in subcommand.flags:
            flag = subcommand.flags[key]
            options.flags[flag.rstrip("=")] = take_value(flag, word, value, words)
        elif word in ("-h", "--help"):
            options.words.clear()
            return subcommands["--help"]
        elif word.startswith("-") and word != "-":
            raise UsageError(f"Found argument '{word}' which wasn't expected")
        else:
            options.words.append(word)
    check_count(subcommand, options)
    return subcommand


def parse_global(words: list[str], options: Options) -> str:
    """Remove the flags before the subcommand from `words`; return the subcommand's name."""
    while words:
        word = words.pop(0)
        key, value = split_flag(word)
        if key in ("-s", "--socket"):
            options.socket = take_value("socket=", word, value, words)
        elif word in ("-d", "--debug"):
            options.flags["debug"] = "yes"
        elif word in ("-h", "--help", "help"):
            return "--help"
        elif word in ("-V", "--version"):
            return "--version"
        else:
            return word
    return NO_SUBCOMMAND


def split_flag(word: str) -> tuple[str, str | None]:
    """Return a flag and the value attached to it: `--socket=PATH`, `-sPATH`, `-s=PATH`."""
    if word.startswith("--"):
        key, equals, value = word.partition("=")
        return key, value if equals else None
    if word.startswith("-") and len(word) > 2:
        return word[:2], word[2:].removeprefix("=")
    return word, None


def take_value(flag: str, word: str, value: str | None, words: list[str]) -> str:
    """Return the value of a flag; `flag` ends in `=` if it takes one."""
    if not flag.endswith("="):
        if value is not None:
            raise UsageError(f"Found argument '{word}' which wasn't expected")
        return "yes"
    if value is None:
        if not words:
            raise UsageError(f"The argument '{word} <VALUE>' requires a value")
        value = words.pop(0)
    return value


def check_count(subcommand: Subcommand, options: Options) -> None:
    """Refuse missing or extra arguments."""
    needed = [name for name in subcommand.arguments if not name.startswith("[")]
    if len(options.words) < len(needed):
        missing = "\n".join(f"    <{name}>" for name in needed[len(options.words) :])
        raise UsageError(f"The following required arguments were not provided:\n{missing}")
    if len(options.words) > len(subcommand.arguments):
        extra = options.words[len(subcommand.arguments)]
        raise UsageError(f"Found argument '{extra}' which wasn't expected")
