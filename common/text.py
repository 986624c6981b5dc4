"""Makes untrusted text safe to print: a terminal obeys control characters."""


def printable(text: str, kept: str = "") -> str:
    """Return `text` with unprintable characters escaped, except those in `kept`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else escape(c) for c in text)


def escape(char: str) -> str:
    """Return the escape of one character; of an undecodable byte, the byte's escape."""
    number = ord(char)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
