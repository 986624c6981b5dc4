"""Large letters made of blocks, to be read from two metres. Pure.

A letter has five rows of five columns; each row is a number, of which bit 4 is the left column.
"""

ROWS = 5
COLUMNS = 5
GAP = 1
BLOCK = "█"

FONT = {
    " ": (0, 0, 0, 0, 0),
    "-": (0, 0, 0b11111, 0, 0),
    ".": (0, 0, 0, 0, 0b00100),
    "0": (0b01110, 0b10011, 0b10101, 0b11001, 0b01110),
    "1": (0b00100, 0b01100, 0b00100, 0b00100, 0b01110),
    "2": (0b11110, 0b00001, 0b01110, 0b10000, 0b11111),
    "3": (0b11110, 0b00001, 0b01110, 0b00001, 0b11110),
    "4": (0b10010, 0b10010, 0b11111, 0b00010, 0b00010),
    "5": (0b11111, 0b10000, 0b11110, 0b00001, 0b11110),
    "6": (0b01110, 0b10000, 0b11110, 0b10001, 0b01110),
    "7": (0b11111, 0b00001, 0b00010, 0b00100, 0b00100),
    "8": (0b01110, 0b10001, 0b01110, 0b10001, 0b01110),
    "9": (0b01110, 0b10001, 0b01111, 0b00001, 0b01110),
    "A": (0b01110, 0b10001, 0b11111, 0b10001, 0b10001),
    "B": (0b11110, 0b10001, 0b11110, 0b10001, 0b11110),
    "D": (0b11110, 0b10001, 0b10001, 0b10001, 0b11110),
    "E": (0b11111, 0b10000, 0b11110, 0b10000, 0b11111),
    "F": (0b11111, 0b10000, 0b11110, 0b10000, 0b10000),
    "G": (0b01111, 0b10000, 0b10011, 0b10001, 0b01111),
    "I": (0b01110, 0b00100, 0b00100, 0b00100, 0b01110),
    "M": (0b10001, 0b11011, 0b10101, 0b10001, 0b10001),
    "N": (0b10001, 0b11001, 0b10101, 0b10011, 0b10001),
    "O": (0b01110, 0b10001, 0b10001, 0b10001, 0b01110),
    "R": (0b11110, 0b10001, 0b11110, 0b10010, 0b10001),
    "S": (0b01111, 0b10000, 0b01110, 0b00001, 0b11110),
    "T": (0b11111, 0b00100, 0b00100, 0b00100, 0b00100),
    "W": (0b10001, 0b10001, 0b10101, 0b11011, 0b10001),
    "Y": (0b10001, 0b01010, 0b00100, 0b00100, 0b00100),
    "Z": (0b11111, 0b00010, 0b00100, 0b01000, 0b11111),
}


def width_of(text: str, scale: int = 1) -> int:
    """Return how many columns a text takes."""
    return len(text) * (COLUMNS + GAP) * scale


def enlarge(text: str, scale: int = 1) -> list[str]:
    """Return a text in large letters, `ROWS * scale` lines; a letter without a form is a gap."""
    lines = []
    for row in range(ROWS):
        cells = "".join(row_of(letter, row) + " " * GAP for letter in text)
        lines += ["".join(cell * scale for cell in cells)] * scale
    return lines


def row_of(letter: str, row: int) -> str:
    """Return one row of a letter."""
    bits = FONT.get(letter, FONT[" "])[row]
    return "".join(BLOCK if bits >> place & 1 else " " for place in reversed(range(COLUMNS)))
