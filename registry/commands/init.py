"""`zos registry init`: makes the registry's database and key."""

import argparse
import sys
from typing import Any

from registry.errors import ConflictError
from registry.settings import RegistrySettings
from registry.state.opening import has_state, make_folder
from registry.views.registry import make_lasting

NAME, HELP = "init", "make a registry: its database and its key"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no arguments beside the settings."""
    del parser


def run(settings: RegistrySettings, options: dict[str, Any]) -> int:
    """Make the registry, and print the key that its log is verified with."""
    del options
    if not settings.database and has_state(settings.state, ""):
        raise ConflictError(
            f"there is a registry in {settings.state} already", hint="`zos registry serve`"
        )
    make_folder(settings.state)
    registry = make_lasting(settings)
    sys.stdout.write(f"{registry.log.verifier}\n")
    registry.close()
    return 0
