"""`zos registry init`: makes the registry's database and key."""

import argparse
import contextlib
import sys
from typing import Any

from registry.errors import ConflictError
from registry.log.notes import Verifier
from registry.settings import RegistrySettings
from registry.state.opening import FILE_NAME, has_state, make_folder
from registry.views.registry import make_lasting
from serving.database import making_file

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
    sys.stdout.write(f"{make(settings)}\n")
    return 0


def make(settings: RegistrySettings) -> Verifier:
    """Make the registry; return its log's key. If this fails, there is no SQLite file."""
    if settings.database:
        with contextlib.closing(make_lasting(settings)) as registry:
            return registry.log.verifier
    with making_file(settings.state / FILE_NAME) as url:
        return make(settings.model_copy(update={"database": url}))
