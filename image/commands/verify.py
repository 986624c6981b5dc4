"""`zos image verify`: check a release or a store offline, with public keys only."""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from image.channel.place import Place
    from image.channel.verify import Check, Inspectors, Report
    from image.commands.shared import Verbs


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "verify",
        help="check a release or a whole store",
        description="Check the release in a folder against its manifest, or everything in a "
        "store from a trusted root on, and list what was checked. No private key is needed.",
    )
    parser.add_argument(
        "path", metavar="DIR", help="folder of a release or of a store, or a bootstrap server's URL"
    )
    parser.add_argument(
        "--keys",
        metavar="FILE",
        help="for a store: root.json that is trusted, or its folder",
    )
    parser.add_argument(
        "--certificate",
        metavar="FILE",
        help="certificate of the Secure Boot key that must have signed zos.efi",
    )
    parser.add_argument("--json", action="store_true", help="print a list of JSON objects")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Verify, print every check, and return whether all were good."""
    report = verify(args.path, args.keys, args.certificate)
    if args.json:
        rows = [asdict(check) for check in report.checks]
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        sys.stdout.writelines(map(render, report.checks))
        count = sum(not check.is_good for check in report.checks)
        verdict = f"{count} of {len(report.checks)} checks failed" if count else "all is good"
        sys.stdout.write(f"{verdict}\n")
    return 0 if report.is_good else 1


def verify(path: str | Path, keys: str | None, certificate: str | None = None) -> "Report":
    """Return the checks of a release or of a store."""
    from image.channel.place import open_place
    from image.channel.repository import is_initialised
    from image.channel.verify import INSPECTORS, signature_inspector, verify_folder
    from image.errors import ImageError

    inspectors = {**INSPECTORS, **(signature_inspector(Path(certificate)) if certificate else {})}
    with open_place(str(path), [keys] if keys else []) as place:
        if is_initialised(place.layout):
            return verify_place(place, inspectors)
        if keys is not None:
            raise ImageError(f"cannot check {path} with keys: it is not a store with channels")
        return verify_folder(Path(path), inspectors)


def verify_place(place: "Place", inspectors: "Inspectors") -> "Report":
    """Return the checks of a store."""
    from image.channel.verify import verify_store
    from image.errors import ImageError

    root = place.root()
    if root is None:
        raise ImageError(
            "cannot check the store: no trusted root is given",
            hint="--keys root.json, as `zos image keys init` has written it",
        )
    return verify_store(place.layout, root, time.time(), inspectors)


def render(check: "Check") -> str:
    """Return one check as a line for people."""
    mark = "ok  " if check.is_good else "FAIL"
    detail = f": {check.detail}" if check.detail else ""
    return f"{mark} {check.subject}: {check.what}{detail}\n"
