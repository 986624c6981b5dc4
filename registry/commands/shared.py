"""What the commands share: the registry they work on."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from registry.settings import RegistrySettings
from registry.views.registry import Registry, open_registry


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
