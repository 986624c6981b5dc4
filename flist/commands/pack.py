"""Pack a directory into a flist: its metadata into one small file, its content into stores."""

import argparse
import json
import sys

from flist.commands.shared.options import add_meta, add_processes
from flist.commands.shared.progress import ByteProgress, show_some
from flist.commands.shared.services import add_strict, report_services, services_of_folder
from flist.commands.shared.targets import add_targets, read_targets
from flist.pack.pack import pack
from flist.values import parse_path, parse_tag


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add_meta(parser, "the flist to write")
    add_targets(parser)
    parser.add_argument(
        "--checksum",
        action="store_true",
        help="read every file, even if it seems unchanged, and replace damaged blocks",
    )
    parser.add_argument(
        "--tag", dest="tags", action="append", default=[], type=parse_tag, metavar="KEY=VALUE"
    )
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN",
        help="leave out what has this name, or with a slash this path below DIR (*, ?, [])",
    )  # fmt: skip
    parser.add_argument(
        "--one-file-system", action="store_true",
        help="leave out what is in directories on other file systems",
    )  # fmt: skip
    add_processes(parser)
    add_strict(parser)
    parser.add_argument("--json", action="store_true", help="print what was done as JSON")
    parser.add_argument("target", type=parse_path, metavar="DIR")


def run(options: argparse.Namespace) -> int:
    """Pack."""
    routes = read_targets(options)
    services = services_of_folder(options.target)
    report_services(services, is_strict=options.strict, what=f"pack {options.target}")
    with ByteProgress("packing") as progress:
        done = pack(
            options.target, options.meta, routes, tags=dict(options.tags),
            processes=options.processes, keep_passwords=options.no_strip_password,
            progress=progress.update, is_checksum=options.checksum, exclude=options.exclude,
            is_one_file_system=options.one_file_system,
        )  # fmt: skip
    show_some("left out", done.left_out)
    if options.json:
        sys.stdout.write(json.dumps(done._asdict()) + "\n")
    else:
        sys.stderr.write(
            f"packed {done.inodes} entries, {done.size_bytes} bytes ({done.read_bytes} read),"
            f" {done.distinct} blocks\n"
        )
    return 0
