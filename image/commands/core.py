"""`zos image core`: build the archive of the flist `zos-core`."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from image.commands.shared import parse_folder, show_progress

if TYPE_CHECKING:
    from image.commands.shared import Verbs
    from image.core.manifest import Core

PROFILE = "core"
DEFAULT_OUTPUT = Path("core-flist")


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    core = verbs.add_parser(
        "core",
        help="make core.tar, of which the flist zos-core is packed",
        description="Make core.tar, the root file system of a node's daemons, from Debian 13 "
        "packages, locked wheels and this project, with core.json and an SBOM. `zos flist pack` "
        "makes a flist of it.",
    )
    core.add_argument(
        "--profile",
        default=PROFILE,
        metavar="NAME|FILE",
        help="core, core-arm64, or a TOML file of yours that extends one of them "
        "(default: %(default)s)",
    )
    core.add_argument(
        "--output",
        type=parse_folder,
        default=DEFAULT_OUTPUT,
        metavar="DIR",
        help="folder of the archive (default: %(default)s)",
    )
    core.add_argument(
        "--mirror",
        type=parse_folder,
        metavar="DIR",
        help="take the locked files from this folder, filled by `zos image mirror`, and nothing "
        "from the network",
    )
    core.add_argument("--debug", action="store_true", help="as debug = true in the profile")
    core.add_argument("--json", action="store_true", help="print one JSON object")
    core.set_defaults(run=run)


def run(args: argparse.Namespace, _prog: str) -> int:
    """Build the archive and describe it."""
    from image.core.build import build_core

    with show_progress() as progress:
        core = build_core(
            args.output,
            profile=args.profile,
            progress=progress,
            mirror=args.mirror,
            is_debug=args.debug,
        )
    sys.stdout.write(render_json(core) if args.json else render_table(core))
    return 0


def render_json(core: "Core") -> str:
    """Return what was built as one JSON object."""
    value = {
        "folder": str(core.folder),
        "version": core.version,
        "identity": core.identity,
        "files": {n: {"size": f.size, "sha256": f.sha256} for n, f in core.files.items()},
        "reused": core.reused,
    }
    return json.dumps(value, indent=2) + "\n"


def render_table(core: "Core") -> str:
    """Return what was built as lines for people."""
    lines = [f"zos-core {core.version}: {'nothing changed' if core.reused else 'built'}"]
    for name, file in core.files.items():
        lines.append(f"  {core.folder / name}  {file.size / 1e6:.1f} MB  {file.sha256[:16]}")
    return "\n".join(lines) + "\n"
