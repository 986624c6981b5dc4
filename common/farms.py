"""The range of farm numbers, and how the kernel's command line writes one."""

FARM_MAX = 2**32 - 1
"""Farm numbers are uint32 on the chain; 0 means "no farm"."""


def parse_farm(text: str) -> int | None:
    """Return the number in `farmer_id=`, which may begin with zeros; None if it is none."""
    digits = text.lstrip("0")
    is_short = len(digits) <= len(str(FARM_MAX))  # int() refuses thousands of digits
    if not (text.isascii() and text.isdigit() and is_short):
        return None
    farm = int(digits or "0")
    return farm if farm <= FARM_MAX else None
