"""Sizes as `dmidecode` prints them: in units of 1024."""

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB", "ZB")
BITS = 10


def binary_size(number: int, unit: str = "bytes") -> str:
    """Return a size that is given in `unit`.

    It has the largest unit of which there is at least one, or the next smaller one if the number
    of those is not whole. What is less than that is cut off.
    """
    place = max((number.bit_length() - 1) // BITS, 0)
    if place and number >> (place - 1) * BITS & 0x3FF:
        place -= 1
    return f"{number >> place * BITS} {UNITS[UNITS.index(unit) + place]}"
