"""`zos bootstrap lock`: lock the newest boot packages."""

import argparse
from typing import TYPE_CHECKING

from bootstrap_server.commands.shared import talk

if TYPE_CHECKING:
    from bootstrap_server.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser("lock", help="lock the newest iPXE, boot loader and tools")
    parser.add_argument(
        "--allow-expired",
        action="store_true",
        help="accept package lists that are older than their signature allows",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Write the lock of the boot packages: the newest of each suite."""
    from bootstrap_server.images import inputs
    from common.debian.lock import render_lock
    from common.debian.resolve import resolve
    from common.files import write_atomic

    sections = ["# Written by `zos bootstrap lock`.\n"]
    for name, (suite, packages) in inputs.REQUESTS.items():
        found = resolve(packages, suite=suite, allow_expired=args.allow_expired, progress=talk)
        sections.append(render_lock(found, name))
    write_atomic(inputs.LOCK, "\n".join(sections).encode())
    return 0
