"""Text that strangers wrote, fit to be shown: a terminal obeys control characters."""


def printable(text: str, kept: str = "") -> str:
    """Return `text` with what can't be seen written as an escape, but for the characters `kept`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else escape(c) for c in text)


def escape(char: str) -> str:
    """Return one character as an escape; a byte that is no UTF-8 as that byte."""
    number = ord(char)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()
