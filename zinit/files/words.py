"""Splitting a command line into words, as the `exec` and `test` keys and the line protocol do.

The rules are those of the Rust crate `shlex`, which upstream's zinit uses: space, tab and newline
separate words; `'...'` is literal; in `"..."` a backslash escapes only `$`, backtick, `"`, `\\` and
a newline (which is dropped); `#` at the start of a word makes the rest of its line a comment.
Python's `shlex` differs on `#`, on `\\$` and on a backslash before a newline.
"""

BLANKS = " \t\n"
# A text without these characters is simply split at white space.
SPECIAL = frozenset("'\"\\#") | {chr(code) for code in range(32)} - set(BLANKS)
ESCAPED_IN_QUOTES = '$`"\\'


def split_words(text: str) -> list[str]:
    """Return the words of `text`; raises `ValueError` for an open quote or a final backslash."""
    if text.isascii() and SPECIAL.isdisjoint(text):
        return text.split()
    words: list[str] = []
    at = 0
    while True:
        at = skip_blanks(text, at)
        if at >= len(text):
            return words
        word, at = read_word(text, at)
        words.append(word)


def skip_blanks(text: str, at: int) -> int:
    """Return the index of the next word's first character."""
    while at < len(text):
        if text[at] == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif text[at] not in BLANKS:
            break
        else:
            at += 1
    return at


def read_word(text: str, at: int) -> tuple[str, int]:
    """Read the word that begins at `at`; return it and the index after it."""
    parts: list[str] = []
    while at < len(text) and text[at] not in BLANKS:
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            if end < 0:
                raise ValueError("unclosed single quote")
            parts.append(text[at + 1 : end])
            at = end + 1
        elif char == '"':
            part, at = read_double_quoted(text, at + 1)
            parts.append(part)
        elif char == "\\":
            if at + 1 >= len(text):
                raise ValueError("nothing after the last backslash")
            parts.append(text[at + 1].replace("\n", ""))
            at += 2
        else:
            parts.append(char)
            at += 1
    return "".join(parts), at


def read_double_quoted(text: str, at: int) -> tuple[str, int]:
    """Read up to the closing quote; return the text and the index after the quote."""
    parts: list[str] = []
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(parts), at + 1
        if char != "\\":
            parts.append(char)
            at += 1
            continue
        after = text[at + 1 : at + 2]
        if not after:
            break
        if after in ESCAPED_IN_QUOTES:
            parts.append(after)
        elif after != "\n":
            parts.append("\\" + after)
        at += 2
    raise ValueError("unclosed double quote")
