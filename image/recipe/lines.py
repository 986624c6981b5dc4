"""Where a key stands in a TOML document; tomllib does not tell."""

import re
import tomllib

HEADER = re.compile(r"\s*\[\[?\s*(.+?)\s*\]?\]\s*(#.*)?$")
WORD = re.compile(r"\"([^\"]*)\"|'([^']*)'|([\w-]+)")
KEY = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[\w-]+)\s*([.=])")


def line_of(text: str, *names: str) -> int:
    """Return the line of the key `names` (a table and a key in it), from 1; 0 if it is not found.

    A line begins a statement if all lines before it are a document; others are inside a value.
    """
    lines = text.splitlines()
    table: tuple[str, ...] = ()
    for number, line in enumerate(lines):
        header, key = HEADER.match(line), KEY.match(line)
        if not (header or key) or not _is_document("\n".join(lines[:number])):
            continue
        if header:
            table = tuple(_words(header[1]))
            place = table
        else:
            place = (*table, *_words(line.partition("=")[0]))
        if place[: len(names)] == names:
            return number + 1
    return 0


def _words(dotted: str) -> list[str]:
    return [next(filter(None, found)) for found in WORD.findall(dotted)]


def _is_document(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True
