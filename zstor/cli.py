"""`zos zstor`: its commands."""

import argparse
from collections.abc import Sequence


def main(argv: Sequence[str], prog: str) -> int:
    """Run one command and return its exit status."""
    parser = argparse.ArgumentParser(prog=prog)
    parser.parse_args(argv)
    return 0
