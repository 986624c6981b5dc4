"""Store a file, or the files directly in a folder."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from zstor.commands.shared import parse_path, print_json, progress, tell
from zstor.errors import ZstorError
from zstor.pipeline.files import Stored, store_open
from zstor.pipeline.source import Source
from zstor.pipeline.vault import Vault

NAME = "store"
HELP = "store a file, or the files directly in a folder"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("-f", "--file", type=parse_path, required=True, help="file or folder")
    parser.add_argument(
        "-k", "--key-path", type=parse_path, metavar="DIR", help="store it as if it were in DIR"
    )
    parser.add_argument(
        "-d", "--delete", action="store_true", help="delete each file once it is stored"
    )
    parser.add_argument(
        "-e", "--error-on-failure", action="store_true", help="stop at the first file that fails"
    )
    parser.add_argument(
        "-s", "--save-failure", action="store_true", help="does nothing, as in upstream's program"
    )
    parser.add_argument(
        "--format", choices=("zos", "upstream"), help="instead of the configuration's"
    )
    parser.add_argument("--json", action="store_true", help="print a line of JSON for each file")


def run(vault: Vault, options: argparse.Namespace) -> int:
    """Store the files; those of a folder are independent of one another."""
    if not options.file.is_dir():
        store_one(vault, options, options.file)
        return 0
    status = 0
    for path in files_in(options.file):
        try:
            store_one(vault, options, path)
        except ZstorError as error:
            if options.error_on_failure:
                raise
            tell(error)
            status = 1
    return status


def files_in(folder: Path) -> Iterator[Path]:
    """Return the regular files directly in a folder, as upstream takes them."""
    return (path for path in sorted(folder.iterdir()) if path.is_file() and not path.is_symlink())


def store_one(vault: Vault, options: argparse.Namespace, path: Path) -> None:
    """Store one file, and delete it if that is wanted and it has not changed since."""
    with Source(path) as source, progress(path.name, source.size) as source.watch:
        stored = store_open(
            *(vault, source),
            key_path=options.key_path,
            format=options.format,
            is_last=options.delete,
        )
        tell_stored(stored, is_json=options.json)
        if options.delete and not source.delete():
            raise ZstorError(f"cannot delete {path}: it has changed since it was stored")


def tell_stored(stored: Stored, *, is_json: bool) -> None:
    """Print what was stored, if that is wanted."""
    if is_json:
        print_json(stored._asdict())
        sys.stdout.flush()
