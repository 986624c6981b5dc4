"""What docs/security.md publishes of each service of Core-0."""

import re
from dataclasses import dataclass

from tests.helpers.checkout import TOP

PAGE = TOP / "docs" / "security.md"
ROW = re.compile(r"\| `core-[a-z-]+` \|.*\|")
PORT = re.compile(r"(tcp|udp) (\d+)")


@dataclass(frozen=True)
class Published:
    """A row of the list."""

    user: int
    capabilities: frozenset[str]
    is_filtered: bool
    families: frozenset[str]
    has_programs: bool
    ports: frozenset[tuple[str, int]]
    sockets: frozenset[str]
    writable: frozenset[str]


def read_published() -> dict[str, Published]:
    """Return the rows by service."""
    found = (line for line in PAGE.read_text().splitlines() if ROW.fullmatch(line))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found]
    return {row[0].strip("`"): parse(row) for row in rows}


def parse(row: list[str]) -> Published:
    """Return what a row says."""
    _, user, capabilities, seccomp, families, programs, listens, writes = row
    return Published(
        user=int(user),
        capabilities=words(capabilities),
        is_filtered=seccomp == "yes",
        families=words(families),
        has_programs=programs == "yes",
        ports=frozenset((name, int(number)) for name, number in PORT.findall(listens)),
        sockets=paths(listens),
        writable=paths(writes),
    )


def words(cell: str) -> frozenset[str]:
    """Return the words of a cell."""
    return frozenset() if cell == "none" else frozenset(cell.split(", "))


def paths(cell: str) -> frozenset[str]:
    """Return the paths in a cell."""
    return frozenset(re.findall(r"`(/[^`]+)`", cell))


def read_devices() -> frozenset[str]:
    """Return the devices that any process may open for writing."""
    line = next(one for one in PAGE.read_text().splitlines() if one.startswith("- Devices that"))
    return paths(line)
