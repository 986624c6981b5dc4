"""`zos node`: what zinit starts on a node. Not meant to be typed on a host."""

import argparse
from collections.abc import Sequence


def main(argv: Sequence[str], prog: str) -> int:
    """Run one of the node's services."""
    parser = argparse.ArgumentParser(prog=prog, description="the services of a node, run by zinit")
    parser.add_argument("service", choices=("network", "bringup"))
    service = parser.parse_args(argv).service
    if service == "network":
        from node import network

        return network.main()
    from node import bringup

    return bringup.main()
