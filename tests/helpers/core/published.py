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


def read_line(start: str) -> str:
    """Return the line of the page below the table that starts with a text."""
    return next(one for one in PAGE.read_text().splitlines() if one.startswith(f"- {start}"))


def read_devices() -> frozenset[str]:
    """Return the devices that any process may open for writing."""
    return paths(read_line("Devices that"))


def read_root_ports() -> frozenset[tuple[str, int]]:
    """Return the ports of what runs as root."""
    return frozenset((name, int(number)) for name, number in PORT.findall(read_line("As root")))


def read_root_sockets() -> frozenset[str]:
    """Return the sockets of what runs as root."""
    return frozenset(re.findall(r"`([/@][^`]+)`", read_line("As root")))
