"""What the commands share: the registry they work on, and a line that shows progress."""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from registry.settings import RegistrySettings
from registry.views.registry import Registry, open_registry

SHOWN_S = 0.2


@contextlib.contextmanager
def opened(settings: RegistrySettings) -> Iterator[Registry]:
    """Give the registry of the settings."""
    registry = open_registry(settings)
    try:
        yield registry
    finally:
        registry.close()


def add_state_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say which registry a command works on."""
    parser.add_argument("--state", metavar="PATH", help="folder of the registry's state")
    parser.add_argument("--database", metavar="URL", help="the registry's database, if it has one")
    parser.add_argument("--config", type=Path, metavar="FILE", help="its settings in TOML")


def talk(text: str) -> None:
    """Report progress on stderr."""
    print(f"zos registry: {text}", file=sys.stderr, flush=True)


class Line:
    """A line on the terminal that shows how far the work is; nothing where there is none."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty()
        self.last = 0.0

    def show(self, what: str, count: int) -> None:
        """Show a count, a few times a second."""
        now = time.monotonic()
        if self.is_shown and now - self.last > SHOWN_S:
            self.last = now
            sys.stderr.write(f"\r\x1b[K{what}: {count}")
            sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line."""
        if self.is_shown and self.last:
            sys.stderr.write("\r\x1b[K")
