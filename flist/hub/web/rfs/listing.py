"""Which page of a list a client wants."""

from fastapi import HTTPException

PER_PAGE = 50
MAX_PER_PAGE = 100
MAX_PAGE = 1 << 32


def parse_page(page: str, per_page: str) -> tuple[int, int]:
    """Return page and rows per page from a query; answers 400, as upstream's server."""
    numbers = [text for text in (page, per_page) if text.isascii() and text.isdigit()]
    if len(numbers) < 2 or max(map(len, numbers)) > 10:
        raise HTTPException(400, "page and per_page are whole numbers from 1")
    wanted, rows = map(int, numbers)
    if not 1 <= wanted <= MAX_PAGE or rows < 1:
        raise HTTPException(400, "page and per_page are whole numbers from 1")
    return wanted, min(rows, MAX_PER_PAGE)
