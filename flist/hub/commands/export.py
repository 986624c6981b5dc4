"""`zos hub export`: write what is public to a folder or a bucket, for a web server or a CDN."""

import argparse
import sys

from flist.hub.commands.shared import add_place, open_from


def add_parser(verbs: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the verb."""
    parser = verbs.add_parser("export", help="write public flists and blocks for a web server")
    add_place(parser)
    parser.add_argument("--pattern", default="*", help="flists, as REPO/NAME.fl with * and ?")
    parser.add_argument("--prune", action="store_true", help="remove what the hub does not have")
    parser.add_argument("target", metavar="DIR|s3://KEY:SECRET@HOST:PORT/BUCKET")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Export."""
    from flist.hub.mirror.export import Exporter
    from flist.hub.mirror.targets import open_target

    target = open_target(args.target)
    with open_from(args) as hub:

        def tell(text: str) -> None:
            print(text, file=sys.stderr, flush=True)

        done = Exporter(hub, target, tell).run(args.pattern, is_pruning=args.prune)
    sys.stdout.write(done.describe() + "\n")
    return 0
