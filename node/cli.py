"""`zos node`: the services that zinit starts on a node; refused on any other machine."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from common.errors import UsageError

OS_RELEASE = Path("/etc/os-release")
OURS = "ID=zero-os"


def main(argv: Sequence[str], prog: str) -> int:
    """Run one of the node's services."""
    parser = argparse.ArgumentParser(prog=prog, description="the services of a node, run by zinit")
    parser.add_argument("service", choices=("network", "bringup"))
    name = parser.parse_args(argv).service
    if not is_node():
        raise UsageError(
            f"cannot run {name} here: this machine does not run Zero-OS",
            hint="it would take over the machine's network and mounts; `zos boot` boots a node",
        )
    if name == "network":
        from node import network

        return network.main()
    from node import bringup

    return bringup.main()


def is_node(os_release: Path = OS_RELEASE) -> bool:
    """Return whether this machine runs Zero-OS."""
    try:
        return OURS in os_release.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return False
