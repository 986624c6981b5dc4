"""`zos zdb replicate`: serves a copy of another server, and keeps it up to date."""

import argparse
from typing import Any

from serving.settings import add_flags, load_settings
from zdb.replicate.part import Replica
from zdb.replicate.settings import ReplicaSettings
from zdb.serve.run import run as run_server


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the settings."""
    add_flags(parser, ReplicaSettings)


def run(options: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    flags: dict[str, Any] = dict(vars(options))
    config = flags.pop("config")
    known = {key: value for key, value in flags.items() if key in ReplicaSettings.model_fields}
    settings = load_settings(ReplicaSettings, known, config)
    run_server(settings, part=Replica(settings))
    return 0
