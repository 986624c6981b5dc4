"""`zos node`: on a node its services, which zinit runs; anywhere else the client of nodes' APIs."""

import importlib
from collections.abc import Sequence

from common.errors import UsageError

CLIENT = "core.remote.cli"
SERVICES = ("network", "bringup")


def main(argv: Sequence[str], prog: str) -> int:
    """Run a service of this node, or call another one."""
    if argv and argv[0] in SERVICES:
        from node.cli import main as run

        return run(argv, prog)
    # By name, so that what a node is made of does not have it.
    try:
        client = importlib.import_module(CLIENT)
    except ModuleNotFoundError as error:
        if not f"{CLIENT}.".startswith(f"{error.name}."):
            raise
        raise UsageError(f"{prog} here takes {' or '.join(SERVICES)}: this is a node") from error
    status: int = client.main(argv, prog)
    return status
