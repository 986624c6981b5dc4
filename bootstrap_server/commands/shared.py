"""What the verbs share."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bootstrap_server.settings import StateSettings
from serving.settings import load_settings

if TYPE_CHECKING:
    import argparse

    Verbs = argparse._SubParsersAction[argparse.ArgumentParser]


def talk(text: str) -> None:
    """Report progress on stderr."""
    print(f"zos bootstrap: {text}", file=sys.stderr, flush=True)


def add_state_flags(parser: "argparse.ArgumentParser") -> None:
    """Add the flags of a verb that works on the server's state."""
    parser.add_argument("--state", metavar="PATH", help="folder of the server's state")
    parser.add_argument("--database", metavar="URL", help="the server's database, if it has one")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the server's settings in TOML")


def load_state_settings(args: "argparse.Namespace") -> StateSettings:
    """Return the settings from these flags, the environment and the server's file."""
    flags = {"state": args.state, "database": args.database}
    return load_settings(StateSettings, flags, args.config)
