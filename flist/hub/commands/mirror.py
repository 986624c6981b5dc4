"""`zos hub mirror`: follow other hubs."""

import argparse
import sys

from flist.hub.commands.shared import add_place, open_from, operator
from flist.values import parse_seconds

HOUR_S = 3600.0


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser("mirror", help="follow other hubs: pull what is missing here")
    actions = parser.add_subparsers(required=True, dest="action", metavar="ACTION")
    add = actions.add_parser("add", help="follow a hub; a running server pulls by itself")
    add.add_argument("urls", metavar="URL[,URL...]", help="the hub, and others to use if it fails")
    add.add_argument("--pattern", default="*", help="flists to pull, as REPO/NAME.fl with * and ?")
    add.add_argument(
        "--every", type=parse_seconds, default=HOUR_S, metavar="SECONDS", help="(3600)"
    )
    add.set_defaults(run=run_add)
    show = actions.add_parser("list", help="show which hubs are followed, and how it went")
    show.set_defaults(run=run_list)
    remove = actions.add_parser("remove", help="follow a hub no longer; what was pulled stays")
    remove.add_argument("number", type=int)
    remove.set_defaults(run=run_remove)
    pull = actions.add_parser("run", help="pull now")
    pull.add_argument("number", type=int, nargs="?", help="(all)")
    pull.set_defaults(run=run_now)
    for action in (add, show, remove, pull):
        add_place(action)


def run_add(args: argparse.Namespace, _prog: str) -> int:
    """Follow a hub."""
    from flist.hub.mirror.mirrors import Mirrors

    with open_from(args) as hub:
        number = Mirrors(hub).add(operator(hub), args.urls, args.pattern, args.every)
    sys.stdout.write(f"{number}\n")
    return 0


def run_list(args: argparse.Namespace, _prog: str) -> int:
    """Show the table."""
    from flist.hub.mirror.mirrors import Mirrors

    with open_from(args) as hub:
        for row in Mirrors(hub).list():
            words = (row.id, row.urls, row.pattern, f"every {row.interval_s:g} s", row.message)
            sys.stdout.write("\t".join(map(str, words)) + "\n")
    return 0


def run_remove(args: argparse.Namespace, _prog: str) -> int:
    """Follow a hub no longer."""
    from flist.hub.mirror.mirrors import Mirrors

    with open_from(args) as hub:
        Mirrors(hub).remove(operator(hub), args.number)
    return 0


def run_now(args: argparse.Namespace, _prog: str) -> int:
    """Pull, and fail if a flist could not be had."""
    from flist.hub.mirror.mirrors import Mirrors

    is_good = True
    with open_from(args) as hub:
        mirrors = Mirrors(hub)
        rows = mirrors.list() if args.number is None else [mirrors.find(args.number)]
        for row in rows:
            done = mirrors.run(row, lambda text: print(text, file=sys.stderr, flush=True))
            is_good = is_good and done is not None and not done.faults
    return 0 if is_good else 1
