"""`zos image lock`: write the lock of a profile."""

import argparse
import sys
from typing import TYPE_CHECKING

from image.commands.shared import add_allow_expired, add_profile, show_progress

if TYPE_CHECKING:
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    lock = verbs.add_parser(
        "lock",
        help="write down exactly which packages and wheels a profile is built from",
        description="Write the lock of a profile: name, version, size and SHA-256 of every Debian "
        "package and wheel, the newest there are. A lock that fits the profile is left as it is.",
    )
    add_profile(lock)
    add_allow_expired(lock)
    lock.set_defaults(run=run)


def run(args: argparse.Namespace, prog: str) -> int:
    """Write the lock unless there is one that fits."""
    from image.lock.model import find_request
    from image.lock.update import is_current, make_lock, write_lock

    request = find_request(args.profile)
    if is_current(request):
        sys.stderr.write(f"{prog}: {request.lock} fits; for newer versions: zos image update\n")
        return 0
    with show_progress() as progress:
        lock = make_lock(request, progress, allow_expired=args.allow_expired)
    write_lock(lock, request.lock)
    count = (
        f"{sum(len(part.packages) for part in lock.parts)} packages and {len(lock.wheels)} wheels"
    )
    sys.stdout.write(f"{request.lock}: {count}\n")
    return 0
