#!/usr/bin/env python3
"""Rebuilds a published release from its sources, its lock and public keys, and compares the bytes.

    git checkout TAG
    ./zos image --help                     # once: makes .venv
    .venv/bin/python docs/rebuild.py RELEASE --flist-key FILE

RELEASE is a folder with the published files, FILE the public keys that were built in. No private
key is needed: zos.efi is compared without its signatures. The exit status is 0 if every file is the
same, 1 if one differs, 2 on an error.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from common.errors import ZosError, render_error
from image.errors import ImageError
from image.parts.layers import LEVEL
from image.release import manifest, unified
from image.release.build import build_release
from image.release.manifest import describe

# What the keys of the publisher add, and what follows from it.
OF_SIGNERS = ("signed_by", "pcrs")


def main(argv: list[str] | None = None) -> int:
    """Rebuild, compare, and say what was compared."""
    args = parse(argv)
    try:
        with tempfile.TemporaryDirectory(prefix="zos-rebuild-") as folder:
            rebuild(args, Path(folder))
            rows = list(compare(args.release, Path(folder)))
    except (ZosError, OSError, ValueError, KeyError, TypeError) as error:
        text = render_error(error, "rebuild") if isinstance(error, ZosError) else f"{error}\n"
        sys.stderr.write(text)
        return 2
    for name, is_same, how in rows:
        print(f"{'same     ' if is_same else 'DIFFERENT'} {name}{how}")
    return 0 if all(is_same for _, is_same, _ in rows) else 1


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("release", type=Path, help="folder of the published files")
    parser.add_argument("--flist-key", type=Path, metavar="FILE", help="public keys built in")
    parser.add_argument("--channel-root", type=Path, metavar="FILE", help="root.json built in")
    parser.add_argument("--profile", metavar="FILE", help="the profile, if it is not built in")
    parser.add_argument("--mirror", type=Path, metavar="DIR", help="a folder of locked files")
    parser.add_argument("--level", type=int, default=LEVEL, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def rebuild(args: argparse.Namespace, folder: Path) -> None:
    """Build the release again, from locked inputs only, unsigned."""
    published = read_manifest(args.release)
    build_release(
        folder,
        profile=args.profile or published["profile"],
        flist_keys=args.flist_key,
        channel_root=args.channel_root,
        progress=lambda text: print(text, file=sys.stderr, flush=True),
        level=args.level,
        mirror=args.mirror,
        is_debug=published["debug"],
    )


def compare(published: Path, rebuilt: Path) -> Iterator[tuple[str, bool, str]]:
    """Yield each file with whether it is the same, and how it was compared."""
    theirs, ours = read_manifest(published), read_manifest(rebuilt)
    names = sorted(theirs["files"].keys() | ours["files"].keys())
    for name in names:
        if name not in theirs["files"] or name not in ours["files"]:
            yield name, False, ", which only one of them has"
            continue
        data = (published / name).read_bytes()
        if describe(data).sha256 != theirs["files"][name]["sha256"]:
            yield name, False, ", which is not what its manifest says"
            continue
        how = ""
        if name == unified.NAME and any(theirs["signed_by"].values()):
            data, how = unified.strip(data), " (without its signatures)"
        yield name, data == (rebuilt / name).read_bytes(), how
    yield manifest.NAME, plain(theirs) == plain(ours), " (but for what signers add)"


def plain(value: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest without what depends on the publisher's keys."""
    kept = {key: item for key, item in value.items() if key not in OF_SIGNERS}
    return {**kept, "files": {n: r for n, r in value["files"].items() if n != unified.NAME}}


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest in a folder."""
    value = json.loads((folder / manifest.NAME).read_bytes())
    names = value["files"] if isinstance(value, dict) else {}
    if not names or any("/" in name or name.startswith(".") for name in names):
        raise ImageError(f"cannot use {folder / manifest.NAME}: it lists no files")
    found: dict[str, Any] = value
    return found


if __name__ == "__main__":
    sys.exit(main())
