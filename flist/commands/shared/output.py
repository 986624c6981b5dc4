"""Text that commands print."""

from common.text import printable


def one_line(name: bytes) -> str:
    """Return a file name or path as one printable line, whatever bytes it has."""
    return printable(name.decode(errors="surrogateescape"))
