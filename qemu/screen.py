"""What stands on the machine's screen: VGA text memory, and pictures.

The text mode's memory is 80 x 25 cells of two bytes (character in code page 437, attribute)
at physical address 0xb8000, the layout of every VGA card.
"""

TEXT_ADDRESS = 0xB8000
COLUMNS = 80
ROWS = 25
TEXT_BYTES = COLUMNS * ROWS * 2


def decode_text(memory: bytes) -> str:
    """Return the rows of VGA text memory, without blanks at the ends and empty rows below."""
    characters = memory[0:TEXT_BYTES:2].replace(b"\0", b" ").decode("cp437")
    rows = [characters[at : at + COLUMNS].rstrip() for at in range(0, len(characters), COLUMNS)]
    return "\n".join(rows).rstrip()
