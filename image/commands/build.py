"""`zos image build`: build a release."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from image.commands.shared import add_profile, parse_folder, show_progress
from image.commands.signing import add_signing, open_signing
from image.model import Release
from image.recipe.load import load_recipe

if TYPE_CHECKING:
    from image.commands.shared import Verbs

DEFAULT_OUTPUT = Path("release")


def add_parser(verbs: "Verbs") -> None:
    """Add the verb."""
    build = verbs.add_parser(
        "build",
        help="make vmlinuz, initramfs.zst, zos.efi and manifest.json",
        description="Make vmlinuz, initramfs.zst, zos.efi (a UKI of both) and manifest.json from "
        "Debian 13 packages, the node's wheels and this project. Unchanged parts are taken from "
        "the cache.",
    )
    add_profile(build)
    build.add_argument(
        "--output",
        type=parse_folder,
        default=DEFAULT_OUTPUT,
        metavar="DIR",
        help="folder of the release (default: %(default)s)",
    )
    build.add_argument(
        "--flist-key",
        type=Path,
        metavar="FILE",
        help="Ed25519 public keys whose flists a node accepts: base64, one per line",
    )
    build.add_argument(
        "--channel-root",
        type=Path,
        metavar="FILE",
        help="root.json of the signed channels that a node trusts",
    )
    build.add_argument(
        "--mirror",
        type=parse_folder,
        metavar="DIR",
        help="take the locked files from this folder, filled by `zos image mirror`, and nothing "
        "from the network",
    )
    build.add_argument(
        "--debug",
        action="store_true",
        help="as debug = true in the profile: add the test driver's agent, by which who has a "
        "machine's virtio port may run anything on it",
    )
    add_signing(build)
    build.add_argument("--json", action="store_true", help="print one JSON object")
    build.set_defaults(run=run)


def run(args: argparse.Namespace, prog: str) -> int:
    """Build a release and describe it."""
    from image.release.build import build_release

    signing = open_signing(args)
    with show_progress() as progress:
        release = build_release(
            args.output,
            profile=args.profile,
            flist_keys=args.flist_key,
            channel_root=args.channel_root,
            progress=progress,
            mirror=args.mirror,
            is_debug=args.debug,
            signing=signing,
        )
    sys.stdout.write(render_json(release) if args.json else render_table(release))
    if args.flist_key is None and not load_recipe(args.profile, debug=args.debug).keys:
        sys.stderr.write(
            f"{prog}: built without --flist-key: a node of this release accepts no flist\n"
        )
    return 0


def render_json(release: Release) -> str:
    """Return the release as one JSON object."""
    value = {
        "folder": str(release.folder),
        "version": release.version,
        "kernel": release.kernel,
        "files": {n: {"size": f.size, "sha256": f.sha256} for n, f in release.files.items()},
        "reused": release.reused,
        "elapsed_s": round(release.elapsed_s, 3),
    }
    return json.dumps(value, indent=2) + "\n"


def render_table(release: Release) -> str:
    """Return the release as lines for people."""
    how = "nothing changed" if release.reused else f"built in {release.elapsed_s:.1f} s"
    lines = [f"Zero-OS {release.version}, Linux {release.kernel}: {how}"]
    for name, file in release.files.items():
        lines.append(f"  {release.folder / name}  {file.size / 1e6:.1f} MB  {file.sha256[:16]}")
    return "\n".join(lines) + "\n"
