"""`zos core`: the daemons of Core-0, which zinit starts on a node."""

import argparse
import importlib
from collections.abc import Sequence

# daemon -> its module, which has `main() -> exit status`
DAEMONS: dict[str, str] = {
    "announce": "core.announce.daemon",
    "api": "core.api.daemon",
    "capacity": "core.capacity.daemon",
    "identity": "core.identity.daemon",
    "identity-prepare": "core.identity.prepare",
    "report": "core.report.daemon",
    "screen": "core.screen.daemon",
    "update": "core.update.daemon",
}


def main(argv: Sequence[str], prog: str) -> int:
    """Run one daemon."""
    parser = argparse.ArgumentParser(prog=prog, description="a daemon of a node, run by zinit")
    parser.add_argument("daemon", choices=sorted(DAEMONS))
    name = parser.parse_args(argv).daemon
    status: int = importlib.import_module(DAEMONS[name]).main()
    return status
