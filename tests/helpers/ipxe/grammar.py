"""iPXE's script grammar: which commands would run, with which arguments.

Written after iPXE's own reader. A line ends at a newline only; a carriage return before it is
dropped; a backslash at the end joins a line with the next; a NUL ends what is read of it. ASCII
white space separates words, and nothing quotes it. A line may start with a `:label`. A word that
starts with "#" ends the line, and `||`, `&&` and `;` separate commands if they are words of their
own. Only then are settings expanded in each word, so a value never becomes two words or a command.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

_SPACE = " \t\n\v\f\r"
_OPERATORS = ("||", "&&", ";")


class Command(NamedTuple):
    """One command: the operator before it ("" on a new line), its name, its arguments."""

    operator: str
    name: str
    arguments: tuple[str, ...]


class Line(NamedTuple):
    """One line: its label, if it has one, and its commands."""

    label: str | None
    commands: tuple[Command, ...]


def read_lines(script: str) -> list[Line]:
    """Return the lines of a script, also empty ones."""
    return [read_line(text) for text in join_lines(script)]


def read_commands(script: str) -> list[Command]:
    """Return every label (as a command ":label") and command of a script, in order."""
    found = []
    for label, commands in read_lines(script):
        found += [] if label is None else [Command("", f":{label}", ())]
        found += commands
    return found


def join_lines(script: str) -> Iterator[str]:
    """Yield the texts of lines, joined where a backslash asks for it."""
    text = ""
    for piece in script.split("\n"):
        text = (text + piece).removesuffix("\r")
        if text.endswith("\\"):
            text = text[:-1]
            continue
        yield text.partition("\0")[0]
        text = ""
    if text:
        yield text.partition("\0")[0]


def read_line(text: str) -> Line:
    """Return the label and the commands of a line."""
    words = split_words(text)
    label = words.pop(0)[1:] if words and words[0].startswith(":") else None
    return Line(label, tuple(split_commands(words)))


def split_words(text: str) -> list[str]:
    """Split at ASCII white space, as iPXE does; `str.split` also splits at other characters."""
    for character in _SPACE:
        text = text.replace(character, " ")
    return [word for word in text.split(" ") if word]


def split_commands(words: list[str]) -> Iterator[Command]:
    """Yield the commands of a line; after an operator there may be none, which succeeds."""
    operator, part = "", list[str]()
    for word in words:
        if word.startswith("#"):
            break
        if word in _OPERATORS:
            yield make_command(operator, part)
            operator, part = word, []
        else:
            part.append(word)
    if part or operator:
        yield make_command(operator, part)


def make_command(operator: str, words: list[str]) -> Command:
    """Return a command of its words."""
    return Command(operator, words[0] if words else "", tuple(words[1:]))


def expand(word: str, look_up: Callable[[str], str]) -> str:
    """Return a word with its settings' values, the innermost first; a value is expanded, too."""
    while (end := find_end(word)) is not None:
        start = word.rindex("${", 0, end)
        word = word[:start] + look_up(word[start + 2 : end]) + word[end + 1 :]
    return word


def find_end(word: str) -> int | None:
    """Return where the first expansion ends, or None if there is none."""
    start = word.find("${")
    end = word.find("}", start) if start >= 0 else -1
    return None if end < 0 else end
