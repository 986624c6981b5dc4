"""The run modes of a node: each follows a network of its own."""

from typing import NamedTuple


class RunMode(NamedTuple):
    """One run mode."""

    network: str  # upstream's name of the network, and the name of the mode's flist
    summary: str
    is_production: bool = False  # takes no release that a stranger could get into


RUN_MODES = {
    "dev": RunMode("development", "follows development, for those who work on Zero-OS"),
    "qa": RunMode("qa", "being checked before it is offered for testing"),
    "test": RunMode("testing", "release candidates"),
    "prod": RunMode("production", "for farms in production", is_production=True),
}
