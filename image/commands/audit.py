"""`zos image audit`: look for what no release may have, and for what nothing accounts for."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common.text import printable
from image.commands.shared import add_profile, parse_folder, show_progress
from image.recipe.load import DEFAULT_PROFILE

if TYPE_CHECKING:
    from image.commands.shared import Verbs
    from image.release.audit import Finding

CORE_FILE = "core.json"  # image/core/manifest.py
CORE_PROFILE = "core"


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    audit = verbs.add_parser(
        "audit",
        help="look for ways into a release, and for files from nowhere",
        description="Compare the image of a release with its packages, wheels, profile and this "
        "project: every file must be from one of them, and there must be no set-user-ID file, no "
        "file that anybody can write, and no login, shell, account or key that the profile did "
        "not ask for. The exit status is 1 if something is found.",
    )
    audit.add_argument(
        "path", type=parse_folder, metavar="DIR", help="the folder of a release, or of core.tar"
    )
    add_profile(audit)
    audit.set_defaults(profile="")
    audit.add_argument(
        "--flist-key", type=Path, metavar="FILE", help="the public keys with which it was built"
    )
    audit.add_argument(
        "--channel-root", type=Path, metavar="FILE", help="the root.json with which it was built"
    )
    audit.add_argument(
        "--mirror", type=parse_folder, metavar="DIR", help="take the locked files from this folder"
    )
    audit.add_argument("--debug", action="store_true", help="it was built with --debug")
    audit.add_argument(
        "--ways",
        action="store_true",
        help="list only the ways in, by kind (agent, shell, login, ...); needs no packages",
    )
    audit.add_argument("--json", action="store_true", help="print JSON: a list, or an object")
    audit.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Audit a release and print what was found."""
    if args.ways:
        return show_ways(args)
    found = audit_core(args) if (args.path / CORE_FILE).exists() else audit_release(args)
    if args.json:
        rows = [{"path": one.path, "why": one.why} for one in found]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"/{printable(one.path)} {one.why}\n" for one in found)
    return 1 if found else 0


def show_ways(args: argparse.Namespace) -> int:
    """Print each kind of way in, with its files or `none`."""
    from image.core.audit import read_core
    from image.release.listing import read_initramfs
    from image.release.ways import find_ways

    is_core = (args.path / CORE_FILE).exists()
    found = find_ways(read_core(args.path) if is_core else read_initramfs(args.path))
    if args.json:
        sys.stdout.write(json.dumps(found, indent=2) + "\n")
    else:
        for kind, paths in found.items():
            shown = ", ".join(f"/{printable(path)}" for path in paths)
            sys.stdout.write(f"{kind}: {shown or 'none'}\n")
    return 1 if any(found.values()) else 0


def audit_release(args: argparse.Namespace) -> "list[Finding]":
    """Return what was found in a release."""
    from image.lock.model import load_lock, lock_of, request_of
    from image.release.audit import audit_folder
    from image.release.build import prepare_recipe

    profile = args.profile or DEFAULT_PROFILE
    recipe = prepare_recipe(profile, args.flist_key, args.channel_root, is_debug=args.debug)
    lock = load_lock(request_of(recipe, lock_of(profile)))
    with show_progress() as progress:
        return audit_folder(args.path, recipe, lock, progress, args.mirror)


def audit_core(args: argparse.Namespace) -> "list[Finding]":
    """Return what was found in core.tar."""
    from image.core.audit import audit_folder
    from image.lock.model import load_lock, lock_of, request_of
    from image.recipe.kind import CORE
    from image.recipe.load import load_recipe

    profile = args.profile or CORE_PROFILE
    recipe = load_recipe(profile, debug=args.debug, kind=CORE)
    lock = load_lock(request_of(recipe, lock_of(profile)))
    with show_progress() as progress:
        return audit_folder(args.path, recipe, lock, progress, args.mirror)
