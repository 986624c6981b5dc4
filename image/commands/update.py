"""`zos image update`: lock the newest versions, and tell what that changes."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from image.commands.shared import add_allow_expired, add_profile, show_progress

if TYPE_CHECKING:
    from image.commands.shared import Verbs
    from image.lock.changes import Change, Notice
    from image.lock.model import ReleaseLock

IDS_SHOWN = 6  # of a kernel's hundreds; --json has them all


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    update = verbs.add_parser(
        "update",
        help="lock the newest packages, and show what changes",
        description="Lock the newest packages and wheels of a profile. Show which versions change, "
        "and the security notices that Debian's changelogs have since the old versions.",
    )
    add_profile(update)
    add_allow_expired(update)
    update.add_argument("--json", action="store_true", help="print one JSON object")
    update.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Write the new lock and show the changes."""
    from image.lock.changes import list_changes
    from image.lock.model import find_request, read_lock
    from image.lock.update import find_notices, make_lock, write_lock

    request = find_request(args.profile)
    old = read_lock(request.lock)
    with show_progress() as progress:
        new = make_lock(request, progress, allow_expired=args.allow_expired)
        notices = find_notices(old, new, progress)
    changes = list_changes(old, new)
    if changes or identities(old) != identities(new) or old.wheels != new.wheels:
        write_lock(new, request.lock)
    sys.stdout.write(render_json(changes, notices) if args.json else render_text(changes, notices))
    return 0


def identities(lock: "ReleaseLock") -> list[str]:
    """Return the identities of a lock's packages."""
    return [part.identity for part in lock.parts]


def render_json(changes: "list[Change]", notices: "list[Notice]") -> str:
    """Return the report as one JSON object."""
    value = {"changes": [asdict(c) for c in changes], "notices": [asdict(n) for n in notices]}
    return json.dumps(value, indent=2) + "\n"


def render_text(changes: "list[Change]", notices: "list[Notice]") -> str:
    """Return the report as lines for people."""
    lines = [describe_change(change) for change in changes] or ["nothing changed"]
    lines += ["security notices:"] if notices else []
    lines += map(describe_notice, notices)
    return "\n".join(lines) + "\n"


def describe_notice(notice: "Notice") -> str:
    """Return a notice as one line."""
    ids = " ".join(notice.ids[:IDS_SHOWN]) or "no identifier"
    rest = len(notice.ids) - IDS_SHOWN
    more = f" and {rest} more" if rest > 0 else ""
    return f"  {notice.source} {notice.version} (urgency {notice.urgency}): {ids}{more}"


def describe_change(change: "Change") -> str:
    """Return a change as one line."""
    if not change.old:
        return f"added {change.name} {change.new}"
    if not change.new:
        return f"removed {change.name} {change.old}"
    return f"{change.name} {change.old} -> {change.new}"
