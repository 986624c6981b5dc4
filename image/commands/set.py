"""`zos image set`: a release with the flists that its nodes run from."""

import argparse
import json
import sys
from typing import TYPE_CHECKING

from common.errors import UsageError
from common.releases.flists import ROLES
from image.commands.shared import parse_folder

if TYPE_CHECKING:
    from common.releases.manifest import Manifest
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "set",
        help="make a release that also says which flists its nodes run from",
        description="Make a release out of one in a folder: the same files, and a manifest that "
        "names flists by their SHA-256. Its version is that of what it boots, and one of the set. "
        "Nodes take the flists from any hub that has them under these names.",
    )
    parser.add_argument("release", type=parse_folder, metavar="RELEASE", help="folder of a release")
    parser.add_argument(
        "--output", type=parse_folder, required=True, metavar="DIR", help="folder of the new one"
    )
    for role in ROLES:
        parser.add_argument(
            f"--{role}",
            metavar="NAME=FILE",
            help=f"the flist of this role: its name on hubs, and the file (.fl){EXTRA.get(role)}",
        )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


EXTRA = {"core": " beside its core.json", "firmware": "", "workload": ""}


def run(args: argparse.Namespace, _prog: str) -> int:
    """Make the release and describe it."""
    from image.release.flists import make_set, parse_members

    words = [(role, word) for role in ROLES if (word := getattr(args, role))]
    if not words:
        raise UsageError("a set has at least one flist", hint="--core NAME=FILE.fl")
    manifest = make_set(args.release, parse_members(words), args.output)
    sys.stdout.write(render_json(manifest) if args.json else render_table(manifest))
    return 0


def render_json(manifest: "Manifest") -> str:
    """Return the release as one JSON object."""
    value = {
        "version": manifest.version,
        "debug": manifest.debug,
        "locked": manifest.locked,
        "flists": [flist.to_json() for flist in manifest.flists],
    }
    return json.dumps(value, indent=2) + "\n"


def render_table(manifest: "Manifest") -> str:
    """Return the release as lines for people."""
    lines = [f"Zero-OS {manifest.version}"]
    lines += [f"  {one.role:<8} {one.name}  {one.sha256[:16]}" for one in manifest.flists]
    return "\n".join(lines) + "\n"
