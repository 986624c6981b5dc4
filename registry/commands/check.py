"""`zos registry check`: computes everything again from the log."""

import argparse
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from common.files import read_regular
from registry.checking.checking import check_registry
from registry.commands.shared import add_state_flags, opened
from registry.settings import RegistrySettings
from serving.commands.line import Line

NAME, HELP = "check", "compute everything again from the log, and name the first difference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments beside the settings."""
    parser.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="an earlier signed head; the log must follow it",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    add_state_flags(parser)


def run(settings: RegistrySettings, options: dict[str, Any]) -> int:
    """Check; servers may run meanwhile. A difference ends it with an error."""
    with opened(settings) as registry, Line() as line:
        if options["head"]:
            registry.log.check_earlier(read_regular(options["head"]).decode(errors="replace"))
        done = check_registry(registry.database, registry.key.secret, line.show)
    if options["json"]:
        sys.stdout.write(json.dumps(dataclasses.asdict(done)) + "\n")
        return 0
    sys.stdout.write(
        f"{done.entries} entries ({done.forgotten} as hashes only), {done.farms} farms and "
        f"{done.nodes} nodes: all as the log has it\n"
    )
    return 0
