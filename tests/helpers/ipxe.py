"""An independent parser of iPXE scripts: which commands would run, with which arguments.

It follows iPXE's rules: lines end only at a newline; a backslash at the end of a line joins it with
the next; any ASCII white space separates words; a word that starts with "#" ends the line; `||`,
`&&` and `;` as whole words separate commands; a line may start with a `:label`.
"""

from typing import NamedTuple

_SPACE = " \t\n\v\f\r"


class Command(NamedTuple):
    """One command: the operator before it ("" on a new line), its name, its arguments."""

    operator: str
    name: str
    arguments: tuple[str, ...]


def read_commands(script: str) -> list[Command]:
    """Return every label and command of a script, in order."""
    commands = []
    for line in script.replace("\\\n", "").split("\n"):
        words = _split(line)
        if words and words[0].startswith(":"):
            commands.append(Command("", words.pop(0), ()))
        operator = ""
        while words:
            if words[0].startswith("#"):
                break
            at = next((i for i, word in enumerate(words) if word in ("||", "&&", ";")), None)
            comment = next((i for i, word in enumerate(words) if word.startswith("#")), None)
            if comment is not None and (at is None or comment < at):
                words, at = words[:comment], None
            part = words if at is None else words[:at]
            commands.append(Command(operator, part[0] if part else "", tuple(part[1:])))
            if at is None:
                break
            operator, words = words[at], words[at + 1 :]
            if not words:
                commands.append(Command(operator, "", ()))
    return commands


def _split(line: str) -> list[str]:
    """Split at ASCII white space, as iPXE does; `str.split` also splits at other characters."""
    words: list[str] = []
    word = ""
    for character in line:
        if character in _SPACE:
            words, word = ([*words, word] if word else words), ""
        else:
            word += character
    return [*words, word] if word else words
