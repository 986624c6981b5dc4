"""`zos image`: build a release, or list what one contains."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from image.build import build_release
from image.listing import describe_member, read_initramfs, render_member
from image.model import Release

DEFAULT_OUTPUT = Path("release")


def main(argv: Sequence[str], prog: str) -> int:
    """Run `zos image build` or `inspect` and return its exit status."""
    args = make_parser(prog).parse_args(argv)
    if args.verb == "inspect":
        return inspect(args)
    with show_progress() as progress:
        release = build_release(
            args.output,
            flist_keys=args.flist_key,
            progress=progress,
            refresh=args.refresh,
            is_debug=args.debug,
        )
    sys.stdout.write(render_json(release) if args.json else render_table(release))
    if args.flist_key is None:
        sys.stderr.write(
            f"{prog}: built without --flist-key: a node of this release accepts no flist\n"
        )
    return 0


def inspect(args: argparse.Namespace) -> int:
    """Print what an initramfs contains."""
    members = read_initramfs(args.path)
    if args.json:
        value = [describe_member(member) for member in members]
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
    else:
        sys.stdout.writelines(map(render_member, members))
    return 0


def make_parser(prog: str) -> argparse.ArgumentParser:
    """Return the parser of this command."""
    parser = argparse.ArgumentParser(
        prog=prog, description="Build and inspect releases of Zero-OS."
    )
    verbs = parser.add_subparsers(required=True, dest="verb", metavar="VERB")
    build = verbs.add_parser(
        "build",
        help="make vmlinuz, initramfs.zst and manifest.json",
        description="Make vmlinuz, initramfs.zst and manifest.json from Debian 13 packages, the "
        "node's wheels and this project. Unchanged parts are taken from the cache.",
    )
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
        "--refresh",
        action="store_true",
        help="fetch the newest packages of Debian 13 instead of using cached ones",
    )
    build.add_argument(
        "--debug",
        action="store_true",
        help="add the test driver's agent: who has a machine's virtio port may run anything on it",
    )
    build.add_argument("--json", action="store_true", help="print one JSON object")
    look = verbs.add_parser(
        "inspect",
        help="list the files of an initramfs",
        description="List the files of an initramfs: of all its archives, which zstd and cpio do "
        "not show.",
    )
    look.add_argument("path", type=Path, metavar="PATH", help="an initramfs, or a release's folder")
    look.add_argument("--json", action="store_true", help="print a list of JSON objects")
    return parser


def parse_folder(text: str) -> Path:
    """Return the folder; "" is refused, as it would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the folder has no name")
    return Path(text)


@contextmanager
def show_progress() -> Iterator[Callable[[str], None]]:
    """Yield a function that shows progress on stderr: a status line on a terminal, else lines."""
    if not sys.stderr.isatty():
        yield lambda text: print(text, file=sys.stderr, flush=True)
        return
    from rich.console import Console

    console = Console(stderr=True, log_path=False)
    with console.status("starting") as status:

        def show(text: str) -> None:
            status.update(text)
            console.log(text, highlight=False)

        yield show


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
